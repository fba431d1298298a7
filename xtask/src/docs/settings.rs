//! Settings, as their source describes them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Type};

/// The structs and enums of a settings.rs.
#[derive(Default)]
pub(super) struct Settings {
    structs: BTreeMap<String, Vec<syn::Field>>,
    /// The spellings of the variants.
    enums: BTreeMap<String, Vec<String>>,
    aliases: BTreeMap<String, Vec<String>>,
    /// Structs that are part of others.
    shared: BTreeSet<String>,
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) aliases: Vec<String>,
    pub(super) kind: String,
    pub(super) default: String,
    pub(super) example: Option<String>,
    pub(super) meaning: String,
}

impl Settings {
    pub(super) fn parse(source: &str) -> Result<Self> {
        let mut settings = Self::default();
        for item in syn::parse_file(source)?.items {
            match item {
                Item::Struct(item) if is_decoded(&item.attrs) => {
                    let Fields::Named(fields) = item.fields else {
                        bail!("{} has no named fields", item.ident);
                    };
                    let fields: Vec<_> = fields.named.into_iter().collect();
                    for field in &fields {
                        if let (name, Some(inner)) = unwrap(&field.ty)
                            && name == "Shared"
                        {
                            settings.shared.insert(unwrap(inner).0);
                        }
                    }
                    settings.structs.insert(item.ident.to_string(), fields);
                }
                Item::Enum(item) if is_decoded(&item.attrs) => {
                    let rule = serde(&item.attrs, "rename_all");
                    let spell = |variant: &syn::Variant| {
                        serde(&variant.attrs, "rename")
                            .unwrap_or_else(|| cased(&variant.ident.to_string(), rule.as_deref()))
                    };
                    let spellings = item.variants.iter().map(spell).collect();
                    settings.enums.insert(item.ident.to_string(), spellings);
                }
                Item::Const(item) if item.ident == "ALIASES" => {
                    settings.aliases = aliases(&item.expr);
                }
                _ => {}
            }
        }
        Ok(settings)
    }

    /// The structs that are no part of others.
    pub(super) fn roots(&self) -> impl Iterator<Item = &str> {
        let names = self.structs.keys();
        names
            .filter(|name| !self.shared.contains(*name))
            .map(String::as_str)
    }

    /// The rows of a struct, with those of the structs that are part of it.
    pub(super) fn fields(&self, name: &str) -> Result<Vec<Field>> {
        let fields = self
            .structs
            .get(name)
            .with_context(|| format!("there is no struct {name}"))?;
        let mut rows = Vec::new();
        for field in fields {
            match unwrap(&field.ty) {
                (outer, Some(inner)) if outer == "Shared" => {
                    rows.extend(self.fields(&unwrap(inner).0)?);
                }
                _ => rows.push(self.row(field)?),
            }
        }
        Ok(rows)
    }

    fn row(&self, field: &syn::Field) -> Result<Field> {
        let ident = field.ident.as_ref().context("a field without a name")?;
        let key = serde(&field.attrs, "rename").unwrap_or_else(|| camel(&ident.to_string()));
        let (kind, is_optional) = self.kind(&field.ty);
        let mut row = Field {
            aliases: self.aliases.get(&key).cloned().unwrap_or_default(),
            kind,
            default: String::new(),
            example: None,
            meaning: String::new(),
            key,
        };
        for paragraph in paragraphs(&field.attrs) {
            if let Some(default) = paragraph.strip_prefix("Default: ") {
                row.default = default.to_owned();
            } else if let Some(example) = paragraph.strip_prefix("Example: ") {
                row.example = Some(example.to_owned());
            } else if paragraph == "Required." {
                row.default = "required".to_owned();
            } else {
                let space = if row.meaning.is_empty() { "" } else { " " };
                row.meaning.push_str(&format!("{space}{paragraph}"));
            }
        }
        if row.default.is_empty() && is_optional {
            row.default = "none".to_owned();
        }
        if row.meaning.is_empty() || row.default.is_empty() {
            bail!(
                "{}: its comment must say what it means and its default",
                row.key
            );
        }
        Ok(row)
    }

    /// What a user may write, and whether it may be left out.
    fn kind(&self, ty: &Type) -> (String, bool) {
        let (name, inner) = unwrap(ty);
        let text = match (name.as_str(), inner) {
            ("Option", Some(inner)) => return (self.kind(inner).0, true),
            ("Redacted", Some(inner)) => format!("secret {}", self.kind(inner).0),
            ("Vec", Some(inner)) => format!("list of {}", self.kind(inner).0),
            ("String", _) => "text".to_owned(),
            ("bool", _) => "boolean".to_owned(),
            ("Duration" | "GoDuration", _) => "duration".to_owned(),
            ("ByteSize", _) => "size".to_owned(),
            ("f32" | "f64", _) => "number".to_owned(),
            ("u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64", _) => {
                "integer".to_owned()
            }
            _ => match self.enums.get(&name) {
                Some(spellings) => {
                    let quoted: Vec<_> = spellings.iter().map(|text| format!("`{text}`")).collect();
                    quoted.join(" or ")
                }
                None => name.clone(),
            },
        };
        (text, false)
    }
}

fn is_decoded(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("derive") => {
            list.tokens.to_string().contains("Deserialize")
        }
        _ => false,
    })
}

/// The value of `#[serde(name = "value")]`.
fn serde(attributes: &[Attribute], name: &str) -> Option<String> {
    let mut found = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        let read = attribute.parse_nested_meta(|meta| {
            if meta.input.peek(syn::Token![=]) {
                let value: Lit = meta.value()?.parse()?;
                if meta.path.is_ident(name)
                    && let Lit::Str(value) = value
                {
                    found = Some(value.value());
                }
            }
            Ok(())
        });
        if read.is_err() {
            return None;
        }
    }
    found
}

/// The paragraphs of a doc comment, each on one line.
fn paragraphs(attributes: &[Attribute]) -> Vec<String> {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(meta) = &attribute.meta else {
            return None;
        };
        match &meta.value {
            Expr::Lit(value) if meta.path.is_ident("doc") => match &value.lit {
                Lit::Str(line) => Some(line.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split("\n\n")
        .map(|paragraph| paragraph.replace('\n', " ").trim().to_owned())
        .filter(|paragraph| !paragraph.is_empty())
        .collect()
}

/// `&[("key", &["alias", …]), …]`.
fn aliases(expression: &Expr) -> BTreeMap<String, Vec<String>> {
    let pairs = elements(expression).into_iter().filter_map(|pair| {
        let Expr::Tuple(pair) = pair else { return None };
        let mut parts = pair.elems.iter();
        let key = text(parts.next()?)?;
        let names = elements(parts.next()?).into_iter().filter_map(text);
        Some((key, names.collect()))
    });
    pairs.collect()
}

fn elements(expression: &Expr) -> Vec<&Expr> {
    match expression {
        Expr::Reference(reference) => elements(&reference.expr),
        Expr::Array(array) => array.elems.iter().collect(),
        _ => Vec::new(),
    }
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(value) => match &value.lit {
            Lit::Str(text) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

/// The last name of a type, and the type in angle brackets after it.
fn unwrap(ty: &Type) -> (String, Option<&Type>) {
    let Type::Path(path) = ty else {
        return (String::new(), None);
    };
    let Some(last) = path.path.segments.last() else {
        return (String::new(), None);
    };
    let inner = match &last.arguments {
        PathArguments::AngleBracketed(list) => {
            list.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        _ => None,
    };
    (last.ident.to_string(), inner)
}

/// A variant's name by serde's rule.
fn cased(name: &str, rule: Option<&str>) -> String {
    match rule {
        Some("camelCase") => {
            let mut chars = name.chars();
            let first = chars.next().map(|char| char.to_ascii_lowercase());
            first.into_iter().chain(chars).collect()
        }
        Some("UPPERCASE") => name.to_ascii_uppercase(),
        Some("lowercase") => name.to_ascii_lowercase(),
        _ => name.to_owned(),
    }
}

/// A field's name in camel case.
fn camel(name: &str) -> String {
    let mut camel = String::new();
    let mut upper = false;
    for char in name.chars() {
        if char == '_' {
            upper = true;
            continue;
        }
        camel.push(if upper {
            char.to_ascii_uppercase()
        } else {
            char
        });
        upper = false;
    }
    camel
}
