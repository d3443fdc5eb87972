//! Gathers the sources: for each setting, the value that takes precedence and its source.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt, fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use super::{
    SYSTEM_DATA_DIR,
    error::ConfigError,
    setting::{Setting, nearest},
};

const PREFIX: &str = "TESSERA_";
/// The variable that names the file. It is not a setting, because the file cannot name itself.
const CONFIG_VARIABLE: &str = "TESSERA_CONFIG";
/// The variable with which the documentation's commands name a running server. It is not a setting
/// either, and it may be set along with the variables of the command line.
const URL_VARIABLE: &str = "TESSERA_URL";
/// Variables that switch off a mechanism in a drill. A release build rejects them.
const DRILL_PREFIX: &str = "TESSERA_DRILL_";
const FILE_IN_DATA_DIR: &str = "tessera.toml";

/// A value before it is parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Raw {
    /// A single text.
    One(String),
    /// Several texts.
    Many(Vec<String>),
}

/// The source of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The built-in default.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(String),
    /// A replacement for the default, which does not work here for this reason.
    Adapted(String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Variable(name) => write!(formatter, "environment {name}"),
            Self::Flag(name) => write!(formatter, "flag {name}"),
            Self::Adapted(reason) => write!(formatter, "default, because {reason}"),
        }
    }
}

/// The sources of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Inputs {
    /// The value of `--config`.
    pub(crate) config_flag: Option<PathBuf>,
    /// The other flags of the command line.
    pub(crate) flags: Vec<(Setting, Raw)>,
    /// The environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The folder that relative paths in flags and variables refer to.
    pub(crate) folder: PathBuf,
    /// Returns why the embedded database cannot use this folder, if it cannot, whatever the mode of
    /// the folder itself.
    pub(crate) obstacle: fn(&Path) -> Option<String>,
}

/// The values that take precedence.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    given: BTreeMap<Setting, (Raw, Source)>,
    file: Option<PathBuf>,
    folder: PathBuf,
}

impl Layers {
    /// Gathers all sources.
    pub(super) fn gather(inputs: &Inputs) -> Result<Self, ConfigError> {
        let (variables, config_variable) = environment(&inputs.environment)?;
        let mut layers = Self { given: BTreeMap::new(), file: None, folder: inputs.folder.clone() };
        let explicit = inputs.config_flag.clone().or(config_variable);
        if let Some(path) = &explicit {
            layers.read_file(&inputs.folder.join(path))?;
        }
        layers.given.extend(variables);
        for (setting, raw) in &inputs.flags {
            layers.given.insert(*setting, (raw.clone(), Source::Flag(setting.flag())));
        }
        if explicit.is_none() {
            layers.read_file_in_data_dir()?;
        }
        if layers.given(Setting::DatabaseUrl).is_none() && layers.given(Setting::DataDir).is_none()
        {
            layers.adapt_data_dir(inputs, explicit.is_none())?;
        }
        Ok(layers)
    }

    /// Returns the value of a setting if any source sets it.
    pub(super) fn given(&self, setting: Setting) -> Option<&Raw> {
        self.given.get(&setting).map(|(raw, _)| raw)
    }

    pub(super) fn source(&self, setting: Setting) -> Source {
        self.given.get(&setting).map_or(Source::Default, |(_, source)| source.clone())
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Parses a setting that always has a value.
    pub(super) fn parse<T, E: fmt::Display>(
        &self,
        setting: Setting,
        parser: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        let text = match self.given(setting) {
            Some(Raw::One(text)) => text.as_str(),
            Some(Raw::Many(_)) => {
                return Err(self.error(setting, "must be a single value, not a list".to_owned()));
            }
            None => setting.default_text().unwrap_or_default(),
        };
        parser(text).map_err(|reason| self.error(setting, reason.to_string()))
    }

    /// Parses a setting that may have no value.
    pub(super) fn parse_optional<T, E: fmt::Display>(
        &self,
        setting: Setting,
        parser: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        if self.given(setting).is_none() { Ok(None) } else { self.parse(setting, parser).map(Some) }
    }

    /// Parses a setting with several values. A single text is split at commas.
    pub(super) fn parse_list<T, E: fmt::Display>(
        &self,
        setting: Setting,
        parser: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, ConfigError> {
        let one;
        let texts: &[String] = match self.given(setting) {
            Some(Raw::Many(texts)) => texts,
            Some(Raw::One(text)) => {
                one = [text.clone()];
                &one
            }
            None => {
                one = [setting.default_text().unwrap_or_default().to_owned()];
                &one
            }
        };
        texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(|part| parser(part).map_err(|reason| self.error(setting, reason.to_string())))
            .collect()
    }

    /// Returns a path. A relative path refers to the folder of the file that contains it, otherwise
    /// to the command's folder.
    pub(super) fn path(&self, setting: Setting) -> Result<PathBuf, ConfigError> {
        let start = match self.source(setting) {
            Source::File(file) => file.parent().map_or_else(|| self.folder.clone(), Path::to_owned),
            _ => self.folder.clone(),
        };
        self.parse(setting, |text| {
            if text.is_empty() { Err("must not be empty") } else { Ok(start.join(text)) }
        })
    }

    /// Returns an error about the value of this setting.
    pub(super) fn error(&self, setting: Setting, reason: String) -> ConfigError {
        let source = self.source(setting);
        ConfigError::Value {
            setting: setting.name(),
            flag: matches!(source, Source::Flag(_)),
            place: source.to_string(),
            reason,
        }
    }

    /// Adds the settings of a file. Settings from other sources take precedence.
    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
            what: "the configuration file",
            path: path.to_owned(),
            cause,
        })?;
        for (setting, raw) in parse_file(path, &text)? {
            self.given.entry(setting).or_insert_with(|| (raw, Source::File(path.to_owned())));
        }
        self.file = Some(path.to_owned());
        Ok(())
    }

    fn read_file_in_data_dir(&mut self) -> Result<(), ConfigError> {
        let path = self.path(Setting::DataDir)?.join(FILE_IN_DATA_DIR);
        let named = self.given.contains_key(&Setting::DataDir);
        if path.is_file() {
            self.read_file(&path)?;
        }
        if !named && self.given.contains_key(&Setting::DataDir) {
            return Err(self.error(
                Setting::DataDir,
                "cannot be set in the data folder's own configuration file; use --data-dir or \
                 --config"
                    .to_owned(),
            ));
        }
        Ok(())
    }

    /// Uses the system's folder if the default folder cannot work.
    fn adapt_data_dir(&mut self, inputs: &Inputs, look_for_file: bool) -> Result<(), ConfigError> {
        let Some(reason) = (inputs.obstacle)(&self.path(Setting::DataDir)?) else { return Ok(()) };
        self.given.insert(
            Setting::DataDir,
            (Raw::One(SYSTEM_DATA_DIR.to_owned()), Source::Adapted(reason)),
        );
        if look_for_file && self.file.is_none() { self.read_file_in_data_dir() } else { Ok(()) }
    }
}

type Variables = BTreeMap<Setting, (Raw, Source)>;

/// Reads the environment: the variables of settings, and the one that names the file.
fn environment(
    environment: &[(OsString, OsString)],
) -> Result<(Variables, Option<PathBuf>), ConfigError> {
    let mut variables = BTreeMap::new();
    let mut config = None;
    for (name, value) in environment {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        // Compose files and units write an empty variable for "not set".
        let drill = cfg!(debug_assertions) && name.starts_with(DRILL_PREFIX);
        if value.is_empty() || name == URL_VARIABLE || drill {
            continue;
        }
        if name == CONFIG_VARIABLE {
            config = Some(PathBuf::from(value));
            continue;
        }
        let value = value.to_str().ok_or_else(|| ConfigError::NotText(name.to_owned()))?;
        let direct = Setting::ALL.into_iter().find(|setting| setting.variable() == name);
        let by_file = Setting::ALL
            .into_iter()
            .find(|setting| setting.is_secret() && format!("{}_FILE", setting.variable()) == name);
        let (setting, text) = match (direct, by_file) {
            (Some(setting), _) => (setting, value.to_owned()),
            (None, Some(setting)) => (setting, secret_file(Path::new(value))?),
            (None, None) if is_of_a_service(name, value) => continue,
            (None, None) => return Err(unknown_variable(name)),
        };
        let entry = (Raw::One(text), Source::Variable(name.to_owned()));
        if let Some((_, Source::Variable(first))) = variables.insert(setting, entry) {
            return Err(ConfigError::Twice { first, second: name.to_owned() });
        }
    }
    Ok((variables, config))
}

fn secret_file(path: &Path) -> Result<String, ConfigError> {
    let text = fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
        what: "the secret file",
        path: path.to_owned(),
        cause,
    })?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Reports whether Kubernetes sets this variable in every container of a namespace with a Service
/// named `tessera` or `tessera-…`: `TESSERA_SERVICE_HOST`, `TESSERA_PORT_3000_TCP_ADDR` and so on.
/// Docker sets some of them for links. `TESSERA_PORT` counts as such a variable only with a value
/// like `tcp://10.0.0.1:3000`; with `3000` it is a mistake.
pub(super) fn is_of_a_service(name: &str, value: &str) -> bool {
    let parts: Vec<&str> = name.split('_').collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_protocol = |text: &str| matches!(text, "TCP" | "UDP" | "SCTP");
    (1..parts.len()).any(|at| match &parts[at..] {
        ["PORT"] => ["tcp://", "udp://", "sctp://"].iter().any(|form| value.starts_with(form)),
        ["SERVICE", "HOST"] => value.parse::<IpAddr>().is_ok(),
        ["SERVICE", "PORT", ..] => is_number(value),
        ["PORT", port, protocol] | ["PORT", port, protocol, "PROTO" | "PORT" | "ADDR"] => {
            is_number(port) && is_protocol(protocol)
        }
        _ => false,
    })
}

fn unknown_variable(name: &str) -> ConfigError {
    let known = Setting::ALL.into_iter().flat_map(|setting| {
        let variable = setting.variable();
        let file = setting.is_secret().then(|| format!("{variable}_FILE"));
        std::iter::once(variable).chain(file)
    });
    ConfigError::Unknown {
        name: name.to_owned(),
        place: "the environment".to_owned(),
        nearest: nearest(name, known.chain([CONFIG_VARIABLE.to_owned()])),
    }
}

/// Parses a file. `database_url = "…"` and `[database] url = "…"` are the same key.
pub(super) fn parse_file(path: &Path, text: &str) -> Result<BTreeMap<Setting, Raw>, ConfigError> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        ConfigError::Syntax {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            reason: error.message().to_owned(),
        }
    })?;
    let mut keys = Vec::new();
    flatten("", "", table, &mut keys);
    let mut found: BTreeMap<Setting, (Raw, String)> = BTreeMap::new();
    for (name, written, value) in keys {
        let setting = Setting::by_name(&name).ok_or_else(|| ConfigError::Unknown {
            name: written.clone(),
            place: path.display().to_string(),
            nearest: nearest(&name, Setting::ALL.map(|setting| setting.name().to_owned())),
        })?;
        let raw = raw(value).ok_or_else(|| ConfigError::Value {
            setting: setting.name(),
            place: path.display().to_string(),
            reason: "must be a string, a number or a list of strings".to_owned(),
            flag: false,
        })?;
        if let Some((_, first)) = found.insert(setting, (raw, written.clone())) {
            return Err(ConfigError::Twice {
                first,
                second: format!("{written} in {}", path.display()),
            });
        }
    }
    Ok(found.into_iter().map(|(setting, (raw, _))| (setting, raw)).collect())
}

/// Returns every value of a table with two keys: its parts joined by `_`, and the key as written.
fn flatten(
    prefix: &str,
    written_prefix: &str,
    table: toml::Table,
    keys: &mut Vec<(String, String, toml::Value)>,
) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        let written = format!("{written_prefix}{key}");
        match value {
            toml::Value::Table(inner) if !inner.is_empty() => {
                flatten(&format!("{name}_"), &format!("{written}."), inner, keys);
            }
            value => keys.push((name, written, value)),
        }
    }
}

fn raw(value: toml::Value) -> Option<Raw> {
    match value {
        toml::Value::String(text) => Some(Raw::One(text)),
        toml::Value::Integer(number) => Some(Raw::One(number.to_string())),
        toml::Value::Array(items) => items
            .into_iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(Raw::Many),
        _ => None,
    }
}
