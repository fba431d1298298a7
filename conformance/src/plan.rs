//! What a component says of itself for its checks: the file `component.toml` in its folder.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use dapr_pluggable::settings::Rules;
use dapr_pluggable::{Block, Error, Metadata, Result};
use serde::{Deserialize, Deserializer, de};

use crate::catalogue;

/// What there is to know of a component.
///
/// ```
/// let plan: dapr_pluggable_conformance::Plan = r#"
///     type = "sqlite"
///     blocks = ["state_store"]
///     rules = "lenient"
///
///     [claims]
///     state_store = ["ETAG", "TTL"]
///
///     [[setups]]
///     name = "file"
///     metadata = { connectionString = "{folder}/data.db" }
///
///     [[bad_settings]]
///     block = "state_store"
///     key = "timeout"
///     value = "soon"
/// "#
/// .parse()?;
/// assert_eq!(plan.setups[0].name, "file");
/// # Ok::<(), dapr_pluggable::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The second half of its type: `sqlite` of `state.sqlite`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its building blocks.
    #[serde(deserialize_with = "blocks")]
    pub blocks: BTreeSet<Block>,
    /// How numbers, booleans and durations are written in its metadata.
    #[serde(deserialize_with = "rules")]
    pub rules: Rules,
    /// For each building block, the features that it has in every setup, by the names that Dapr has for them; for an
    /// output binding its operations.
    #[serde(default, deserialize_with = "claims")]
    pub claims: BTreeMap<Block, BTreeSet<String>>,
    /// What to check it with, one after the other.
    pub setups: Vec<Setup>,
    /// Metadata with which it must not open, each alone in place of what a setup says.
    #[serde(default)]
    pub bad_settings: Vec<BadSetting>,
    /// Checks that it does not pass, with the reasons.
    #[serde(default)]
    pub deviations: Vec<Deviation>,
}

/// One way to set a component up.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Its name.
    pub name: String,
    /// The metadata of the resource file. Names in braces are filled in: `{folder}` with a temporary folder, made for each
    /// check, others with what the servers in `needs` have for them, such as `{redis}` with an address.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The servers that must be there, by the names that the component's tests have for them; they are shared by all checks.
    #[serde(default)]
    pub needs: BTreeSet<String>,
    /// Whose the data is.
    #[serde(default)]
    pub data: Data,
    /// The operation of the output binding whose data comes in by the input binding of the same name, where there is one.
    pub echo: Option<String>,
    /// Secrets of one value that are there, by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}

/// Whose data is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// It lies in a backend: every instance with the same metadata sees it.
    #[default]
    Shared,
    /// Each instance has its own.
    Instance,
}

/// Metadata with which a building block must not open.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadSetting {
    /// The building block.
    #[serde(deserialize_with = "block")]
    pub block: Block,
    /// The key, which the error must name.
    pub key: String,
    /// The value; without one the key is left out.
    pub value: Option<String>,
}

/// A check that a component does not pass.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deviation {
    /// The name of the check.
    pub check: String,
    /// Why it is right not to pass it.
    pub reason: String,
    /// The names of the setups in which it does not pass it; without them, all.
    #[serde(default)]
    pub setups: BTreeSet<String>,
}

impl Plan {
    /// Whether a building block claims a feature.
    #[must_use]
    pub fn claims(&self, block: Block, feature: &str) -> bool {
        self.claims
            .get(&block)
            .is_some_and(|claims| claims.contains(feature))
    }

    /// Why a check is not expected to pass in a setup, if so.
    #[must_use]
    pub fn deviation(&self, check: &str, setup: &Setup) -> Option<&Deviation> {
        self.deviations.iter().find(|deviation| {
            let setups = &deviation.setups;
            deviation.check == check && (setups.is_empty() || setups.contains(&setup.name))
        })
    }

    fn validate(&self) -> Result<()> {
        if self.blocks.is_empty() {
            return Err(invalid("it has no blocks"));
        }
        if self.setups.is_empty() {
            return Err(invalid("it has no setups"));
        }
        let mut names = BTreeSet::new();
        for setup in &self.setups {
            if !names.insert(&setup.name) {
                return Err(invalid(format!("two setups are named {:?}", setup.name)));
            }
        }
        let spoken_of = self
            .claims
            .keys()
            .chain(self.bad_settings.iter().map(|bad| &bad.block));
        for block in spoken_of {
            if !self.blocks.contains(block) {
                return Err(invalid(format!("it has no block {block}")));
            }
        }
        let checks = catalogue();
        for deviation in &self.deviations {
            if !checks.iter().any(|check| check.name() == deviation.check) {
                return Err(invalid(format!(
                    "there is no check {:?} to deviate from",
                    deviation.check
                )));
            }
            if deviation.reason.trim().is_empty() {
                return Err(invalid(format!(
                    "the deviation from {} has no reason",
                    deviation.check
                )));
            }
            if let Some(setup) = deviation.setups.iter().find(|name| !names.contains(name)) {
                return Err(invalid(format!(
                    "there is no setup {setup:?} in which to deviate from {}",
                    deviation.check
                )));
            }
        }
        Ok(())
    }
}

impl FromStr for Plan {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let plan: Self = toml::from_str(text).map_err(|error| invalid(error.to_string()))?;
        plan.validate()?;
        Ok(plan)
    }
}

impl Setup {
    /// The metadata with what is provided in place of its name in braces.
    #[must_use]
    pub fn properties(&self, provided: &BTreeMap<String, String>) -> Metadata {
        let fill = |value: &String| {
            provided.iter().fold(value.clone(), |value, (name, given)| {
                value.replace(&format!("{{{name}}}"), given)
            })
        };
        self.metadata
            .iter()
            .map(|(key, value)| (key.clone(), fill(value)))
            .collect()
    }
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::invalid_request(format!("component.toml: {what}"))
}

fn parse_block<E: de::Error>(name: &str) -> Result<Block, E> {
    Block::ALL
        .into_iter()
        .find(|block| block.as_str() == name)
        .ok_or_else(|| {
            let names = Block::ALL.map(Block::as_str).join(", ");
            E::custom(format!(
                "unknown building block {name:?}, expected one of {names}"
            ))
        })
}

fn block<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Block, D::Error> {
    parse_block(&String::deserialize(deserializer)?)
}

fn blocks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<Block>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.iter().map(|name| parse_block(name)).collect()
}

fn claims<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Block, BTreeSet<String>>, D::Error> {
    let claims = BTreeMap::<String, BTreeSet<String>>::deserialize(deserializer)?;
    claims
        .into_iter()
        .map(|(name, features)| Ok((parse_block(&name)?, features)))
        .collect()
}

fn rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rules, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "strict" => Ok(Rules::Strict),
        "lenient" => Ok(Rules::Lenient),
        other => Err(de::Error::custom(format!(
            "unknown rules {other:?}, expected strict or lenient"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
        type = "x"
        blocks = ["state_store"]
        rules = "strict"
        [[setups]]
        name = "a"
        metadata = { path = "{folder}/x", plain = "{other}" }
    "#;

    #[test]
    fn braces_are_filled() {
        let plan: Plan = PLAN.parse().unwrap();
        let provided = BTreeMap::from([("folder".to_owned(), "/t".to_owned())]);
        let properties = plan.setups[0].properties(&provided);
        let expected = Metadata::from([("path", "/t/x"), ("plain", "{other}")]);
        assert_eq!(properties, expected);
    }

    #[test]
    fn a_deviation_counts_in_its_setups() {
        let other = "[[setups]]\nname = \"b\"";
        let everywhere = "[[deviations]]\ncheck = \"state::round_trip\"\nreason = \"r\"";
        for (setups, expected) in [
            ("", [true, true]),
            ("setups = [\"b\"]", [false, true]),
            ("setups = [\"a\", \"b\"]", [true, true]),
        ] {
            let plan = format!("{PLAN}\n{other}\n{everywhere}\n{setups}");
            let plan: Plan = plan.parse().unwrap();
            let deviates = |setup| plan.deviation("state::round_trip", setup).is_some();
            let found: Vec<bool> = plan.setups.iter().map(deviates).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (addition, expected) in [
            ("[[setups]]\nname = \"a\"", "two setups are named \"a\""),
            ("[claims]\npubsub = []", "it has no block pubsub"),
            ("[claims]\nqueue = []", "unknown building block \"queue\""),
            (
                "[[deviations]]\ncheck = \"state::perfect\"\nreason = \"r\"",
                "there is no check \"state::perfect\"",
            ),
            (
                "[[deviations]]\ncheck = \"state::round_trip\"\nreason = \" \"",
                "the deviation from state::round_trip has no reason",
            ),
            (
                "[[deviations]]\ncheck = \"state::round_trip\"\nreason = \"r\"\nsetups = [\"c\"]",
                "there is no setup \"c\" in which to deviate from state::round_trip",
            ),
            ("[color]", "unknown field `color`"),
        ] {
            let error = format!("{PLAN}\n{addition}").parse::<Plan>().unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
        for (from, to, expected) in [
            ("\"state_store\"", "", "it has no blocks"),
            ("strict", "loose", "unknown rules \"loose\""),
        ] {
            let error = PLAN.replace(from, to).parse::<Plan>().unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
    }
}
