//! What somebody may have meant by a word that is not known.

/// Longer words than this are nobody's typing error, and are not compared.
const LONGEST: usize = 64;

/// The known word nearest to `word`: the same in other letter case, or a few errors of typing
/// away, one for every three letters.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let most = (word.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&word, known), known))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn typing_errors_are_recognised_and_other_words_are_not() {
        let known = ["resource", "resource_type", "resource_tag", "permission"];
        for (word, meant) in [
            ("Resource_Type", Some("resource_type")),
            ("resource_types", Some("resource_type")),
            ("resorce_tpye", Some("resource_type")),
            ("RESOURCE", Some("resource")),
            ("perimssion", Some("permission")),
            ("colour", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"resource".repeat(1000), known), None);
    }
}
