//! Where the connector runs, as the machine's own firmware and environment tell it. No network
//! call is made: a metadata address may be anybody's outside a cloud.

use std::{fs, path::Path};

use serde_json::{Map, Value, json};

use crate::secrets::Variables;

/// Azure's fixed chassis asset tag.
const AZURE_ASSET_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

/// A cloud, in the words of the wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudProvider {
    /// Amazon EC2.
    Aws,
    /// Google Compute Engine.
    Gcp,
    /// Azure.
    Azure,
    /// A pod, in whatever cloud.
    Kubernetes,
    /// None of these.
    OnPrem,
}

impl CloudProvider {
    /// The word of the wire format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "AWS",
            Self::Gcp => "GCP",
            Self::Azure => "AZURE",
            Self::Kubernetes => "KUBERNETES",
            Self::OnPrem => "ON_PREM",
        }
    }
}

/// What a heartbeat says of the machine.
#[derive(Debug, Clone, PartialEq)]
pub struct Surroundings {
    /// The cloud.
    pub provider: CloudProvider,
    /// Facts as found.
    pub metadata: Map<String, Value>,
}

impl Surroundings {
    /// Looks around on this machine.
    pub fn detect(variables: &Variables) -> Self {
        Self::detect_below(Path::new("/"), variables)
    }

    /// Looks around in a file system whose root is at `root`.
    fn detect_below(root: &Path, variables: &Variables) -> Self {
        let firmware = |name: &str| {
            fs::read_to_string(root.join("sys/class/dmi/id").join(name))
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        let vendor = firmware("sys_vendor");
        let provider = if variables.get("KUBERNETES_SERVICE_HOST").is_some() {
            CloudProvider::Kubernetes
        } else if vendor == "Amazon EC2" {
            CloudProvider::Aws
        } else if vendor == "Google" {
            CloudProvider::Gcp
        } else if firmware("chassis_asset_tag") == AZURE_ASSET_TAG {
            CloudProvider::Azure
        } else {
            CloudProvider::OnPrem
        };
        let mut metadata = Map::new();
        let hostname = fs::read_to_string(root.join("proc/sys/kernel/hostname"));
        if let Ok(hostname) = hostname {
            metadata.insert("hostname".to_owned(), json!(hostname.trim()));
        }
        metadata.insert("os".to_owned(), json!(std::env::consts::OS));
        metadata.insert("arch".to_owned(), json!(std::env::consts::ARCH));
        Self { provider, metadata }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider_with(files: &[(&str, &str)], variables: &[(&str, &str)]) -> CloudProvider {
        let root = tempfile::tempdir().unwrap();
        let firmware = root.path().join("sys/class/dmi/id");
        fs::create_dir_all(&firmware).unwrap();
        for (name, content) in files {
            fs::write(firmware.join(name), content).unwrap();
        }
        let variables = Variables::fixed(variables.iter().copied());
        Surroundings::detect_below(root.path(), &variables).provider
    }

    #[test]
    fn the_firmware_names_the_cloud() {
        assert_eq!(provider_with(&[("sys_vendor", "Amazon EC2\n")], &[]), CloudProvider::Aws);
        assert_eq!(provider_with(&[("sys_vendor", "Google\n")], &[]), CloudProvider::Gcp);
        let azure =
            [("sys_vendor", "Microsoft Corporation"), ("chassis_asset_tag", AZURE_ASSET_TAG)];
        assert_eq!(provider_with(&azure, &[]), CloudProvider::Azure);
        let hyper_v = [("sys_vendor", "Microsoft Corporation")];
        assert_eq!(provider_with(&hyper_v, &[]), CloudProvider::OnPrem);
    }

    #[test]
    fn a_pod_is_kubernetes_in_any_cloud() {
        let provider =
            provider_with(&[("sys_vendor", "Google")], &[("KUBERNETES_SERVICE_HOST", "10.0.0.1")]);
        assert_eq!(provider, CloudProvider::Kubernetes);
    }
}
