//! Filters and pages against an oracle: the same done by hand over everything there is.

use latchkey_domain::people::User;
use latchkey_store::{PageKey, PageQuery, Result, TextMatch, UserFilter};
use latchkey_testkit::SeededRng;

use crate::fixtures::{Ground, on_both, user};

on_both! {
    filters_and_pages_agree_with_an_oracle,
}

/// Letters that mean something to LIKE, to quoting, and to the change of letter case.
const LETTERS: [char; 10] = ['a', 'A', 'b', '%', '_', '\\', '\'', 'ä', 'Ä', ' '];

fn choose(rng: &SeededRng, below: usize) -> usize {
    let [byte]: [u8; 1] = (rng as &dyn latchkey_domain::Rng).bytes();
    usize::from(byte) % below
}

fn text(rng: &SeededRng, longest: usize) -> String {
    (0..choose(rng, longest + 1)).map(|_| LETTERS[choose(rng, LETTERS.len())]).collect()
}

fn holds(filter: &TextMatch, value: &str) -> bool {
    let value = value.to_lowercase();
    match filter {
        TextMatch::Exact(text) => value == text.to_lowercase(),
        TextMatch::Prefix(text) => value.starts_with(&text.to_lowercase()),
        TextMatch::Suffix(text) => value.ends_with(&text.to_lowercase()),
        TextMatch::Contains(text) => value.contains(&text.to_lowercase()),
    }
}

async fn filters_and_pages_agree_with_an_oracle(ground: Ground) {
    let rng = SeededRng::new(5);
    let mut everybody: Vec<User> = Vec::new();
    for n in 0..80 {
        let at = ground.now() + std::time::Duration::from_micros(u64::from(n % 7 == 0));
        let mut somebody = user(at, &rng, &format!("u{n}@x.org"));
        somebody.first_name = text(&rng, 5);
        somebody.last_name = text(&rng, 2);
        everybody.push(somebody);
    }
    ground
        .store
        .write(async |tx| -> Result<()> {
            for somebody in &everybody {
                tx.insert_user(somebody).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    everybody.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    for _ in 0..150 {
        let any = |longest| {
            let text = text(&rng, longest);
            match choose(&rng, 4) {
                0 => TextMatch::Exact(text),
                1 => TextMatch::Prefix(text),
                2 => TextMatch::Suffix(text),
                _ => TextMatch::Contains(text),
            }
        };
        let (first, last) = (any(2), any(1));
        let newest_first = choose(&rng, 2) == 0;
        let limit = choose(&rng, 20) + 1;
        let after = choose(&rng, everybody.len() + 1);
        let mut expected: Vec<&User> = everybody.iter().collect();
        if newest_first {
            expected.reverse();
        }
        let after_key =
            expected.get(after).map(|row| PageKey::new(row.created_at, row.id.as_str()));
        let skipped = if after_key.is_some() { after + 1 } else { 0 };
        let expected: Vec<&User> = expected
            .into_iter()
            .skip(skipped)
            .filter(|row| holds(&first, &row.first_name) && holds(&last, &row.last_name))
            .take(limit)
            .collect();
        let filter = UserFilter {
            first_name: Some(first.clone()),
            last_name: Some(last.clone()),
            ..UserFilter::default()
        };
        let limit = u32::try_from(limit).unwrap();
        let page = PageQuery { after: after_key, limit, newest_first };
        let found = ground.store.read(async |tx| tx.list_users(&filter, &page).await).await;
        let found = found.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?} {page:?}");
    }
}
