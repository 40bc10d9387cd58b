//! What a recipe tells its reader to do, in order.

/// One thing to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A file to write: a block of YAML whose first line is `# PATH`.
    File { path: String, text: String },
    /// The clock says this from now on: a comment `<!-- clock: … -->`, which readers do not see.
    Clock(String),
    /// A command, and the output that is shown below it.
    Command { line: String, shown: String },
}

/// The steps of a page. Panics on code that is neither a file nor a console, so that nothing is
/// shown which nothing tries.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(word) = line.strip_prefix("<!-- clock: ") {
            steps.push(Step::Clock(word.strip_suffix(" -->").unwrap().to_owned()));
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match language {
                "yaml" => steps.push(file(&block)),
                "console" => commands(&block, &mut steps),
                other => panic!("nothing would try a block of {other:?}: {block:#?}"),
            }
        } else {
            let is_code = ["    ", "\t", " ```", "  ```", "   ```", "~~~", "<!-- "];
            let is_code = is_code.iter().any(|start| line.starts_with(start));
            assert!(!is_code, "nothing would try this: {line}");
        }
    }
    steps
}

fn file(block: &[&str]) -> Step {
    let path = block[0].strip_prefix("# policy/").unwrap_or_else(|| panic!("no path: {block:#?}"));
    Step::File { path: format!("policy/{path}"), text: block.join("\n") + "\n" }
}

fn commands(block: &[&str], steps: &mut Vec<Step>) {
    let mut rest = block.iter();
    let mut command: Option<(String, Vec<&str>)> = None;
    while let Some(text) = rest.next() {
        if let Some(first) = text.strip_prefix("$ ") {
            let mut line = first.to_owned();
            while super::shell::is_unfinished(&line) {
                let more = rest.next().unwrap_or_else(|| panic!("unfinished: {line}"));
                line = format!("{line}\n{more}");
            }
            finish(command.replace((line, Vec::new())), steps);
        } else {
            let (_, shown) = command.as_mut().unwrap_or_else(|| panic!("no command: {block:#?}"));
            shown.push(text);
        }
    }
    finish(command, steps);
}

fn finish(command: Option<(String, Vec<&str>)>, steps: &mut Vec<Step>) {
    if let Some((line, shown)) = command {
        steps.push(Step::Command { line, shown: shown.join("\n").trim().to_owned() });
    }
}

#[test]
fn a_page_is_its_files_its_clocks_and_its_commands_with_what_they_show() {
    let page = "# Title\n\n```yaml\n# policy/a.yaml\nkind: group\n```\n<!-- clock: +2h -->\n\
        ```console\n$ latchkey apply \\\n    -f a\none\ntwo\n$ X=$(curl 'a\nb' | jq .)\n```\n";
    let command =
        |line: &str, shown: &str| Step::Command { line: line.into(), shown: shown.into() };
    assert_eq!(
        steps(page),
        [
            Step::File {
                path: "policy/a.yaml".into(),
                text: "# policy/a.yaml\nkind: group\n".into()
            },
            Step::Clock("+2h".into()),
            command("latchkey apply \\\n    -f a", "one\ntwo"),
            command("X=$(curl 'a\nb' | jq .)", ""),
        ]
    );
}
