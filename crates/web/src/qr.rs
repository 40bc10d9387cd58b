//! QR codes as SVG inside the page: nothing to load, nothing to store.

use std::fmt::Write as _;

use qrcode::{Color, EcLevel, QrCode};

/// The margin that readers need, in modules.
const QUIET: usize = 4;

/// The picture of `text`; `None` if it is too long for one.
pub(crate) fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let width = code.width();
    let mut path = String::new();
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (at % width + QUIET, at / width + QUIET);
            // Writing into a text never fails.
            let _ = write!(path, "M{x} {y}h1v1h-1z");
        }
    }
    let side = width + 2 * QUIET;
    Some(format!(
        "<svg class=\"qr\" role=\"img\" aria-label=\"QR code for an authenticator app\" \
         viewBox=\"0 0 {side} {side}\" width=\"220\" height=\"220\" \
         shape-rendering=\"crispEdges\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_shapes_and_no_text_of_ours_or_others() {
        let svg = svg("otpauth://totp/<script>alert(1)</script>").unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        assert!(!svg.contains("script") && !svg.contains("otpauth"));
        // The three corners by which readers find the code.
        assert!(svg.contains("M4 4h1v1h-1z"));
        assert_eq!(super::svg(&"x".repeat(9000)), None);
    }
}
