//! Tables in a README.

use anyhow::{Context, Result, bail};

use super::settings::{Field, Settings};

const BEGIN: &str = "<!-- settings:begin ";
const END: &str = "<!-- settings:end -->";

/// The text of a README with its tables made anew. Settings that no table shows are an error.
pub(super) fn fill(readme: &str, settings: &Settings) -> Result<String> {
    let mut fresh = String::new();
    let mut rest = readme;
    let mut shown = Vec::new();
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, after) = after.split_once(" -->").context("a marker does not end")?;
        let (_, after) = after
            .split_once(END)
            .with_context(|| format!("the table of {name} has no {END}"))?;
        let table = table(&settings.fields(name)?);
        fresh.push_str(&format!("{before}{BEGIN}{name} -->\n{table}{END}"));
        shown.push(name);
        rest = after;
    }
    fresh.push_str(rest);
    if let Some(name) = settings.roots().find(|name| !shown.contains(name)) {
        bail!("no table shows {name}: write `{BEGIN}{name} -->` and `{END}` where it belongs");
    }
    Ok(fresh)
}

fn table(fields: &[Field]) -> String {
    let mut table =
        String::from("| key | type | default | example | meaning |\n|---|---|---|---|---|\n");
    for field in fields {
        let mut key = format!("`{}`", field.key);
        for alias in &field.aliases {
            key.push_str(&format!("<br>or `{alias}`"));
        }
        let cells = [
            &key,
            &field.kind,
            &field.default,
            field.example.as_deref().unwrap_or(""),
            &field.meaning,
        ]
        .map(|cell: &str| cell.replace('|', "\\|"));
        table.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        pub const ALIASES: Aliases = &[("url", &["uri", "address"])];
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct OneSettings {
            /// Where it is: a|b.
            ///
            /// Required.
            pub url: Redacted<String>,
            /// How long
            /// to wait.
            ///
            /// Default: `1s`
            ///
            /// Example: `500ms`
            pub max_wait: Duration,
            /// How.
            ///
            /// Default: `fast`
            pub mode: Mode,
            /// A name.
            #[serde(rename = "consumerID")]
            pub consumer_id: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub enum Mode { Fast, VerySlow }
    "#;

    #[test]
    fn tables_come_from_comments() {
        let settings = Settings::parse(SOURCE).unwrap();
        let fresh = fill(
            "# a\n<!-- settings:begin OneSettings -->\nold<!-- settings:end -->\nz",
            &settings,
        )
        .unwrap();
        let expected = "# a\n<!-- settings:begin OneSettings -->\n\
            | key | type | default | example | meaning |\n|---|---|---|---|---|\n\
            | `url`<br>or `uri`<br>or `address` | secret text | required |  | Where it is: a\\|b. |\n\
            | `maxWait` | duration | `1s` | `500ms` | How long to wait. |\n\
            | `mode` | `fast` or `verySlow` | `fast` |  | How. |\n\
            | `consumerID` | text | none |  | A name. |\n\
            <!-- settings:end -->\nz";
        assert_eq!(fresh, expected);
        assert_eq!(fill(&fresh, &settings).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_shown_is_an_error() {
        let settings = Settings::parse(SOURCE).unwrap();
        assert!(fill("no marker", &settings).is_err());
        assert!(fill("<!-- settings:begin OneSettings -->", &settings).is_err());
        assert!(
            fill(
                "<!-- settings:begin Two --><!-- settings:end -->",
                &settings
            )
            .is_err()
        );
        let undocumented = "#[derive(Deserialize)] pub struct ASettings { pub b: bool }";
        let settings = Settings::parse(undocumented).unwrap();
        assert!(settings.fields("ASettings").is_err());
    }
}
