//! The rules that each preset sets.

use crate::{
    policy::{DAY_S, PolicyRules, Reveal},
    preset::Preset,
};

impl Preset {
    /// Returns the rules that the preset sets.
    pub fn rules(self) -> PolicyRules {
        let labelled = PolicyRules { preset: Some(self), ..PolicyRules::default() };
        match self {
            // A rule would bind the levels below, but a default does not, so this sets no rules.
            Self::Standard => labelled,
            Self::Rivery => PolicyRules {
                self_service: Some(false),
                unique_names: Some(true),
                reveal: Some(Reveal::Once),
                ..labelled
            },
            Self::Devo => PolicyRules {
                reveal: Some(Reveal::RecoverableAllowed),
                allow_never: Some(true),
                ..labelled
            },
            Self::Kriten => PolicyRules {
                self_service: Some(true),
                allow_never: Some(true),
                prefix: Some("kri".to_owned()),
                ..labelled
            },
            Self::RobustIntelligence => PolicyRules {
                max_tokens: Some(200),
                default_ttl_s: Some(270 * DAY_S),
                max_ttl_s: Some(270 * DAY_S),
                allow_never: Some(false),
                reveal: Some(Reveal::Once),
                ..labelled
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{catalogue::ScopeName, names::AudienceSlug, policy::Policy};

    fn alone(preset: Preset) -> Policy {
        Policy::default_with(&preset.rules())
    }

    #[test]
    fn preset_names_and_titles_are_parsed() {
        for preset in Preset::ALL {
            assert_eq!(preset.as_str().parse(), Ok(preset));
            assert_eq!(preset.title().parse(), Ok(preset));
            assert_eq!(preset.rules().preset, Some(preset));
            assert_eq!(serde_json::to_value(preset).unwrap(), preset.as_str());
        }
        assert_eq!("robust-intelligence".parse(), Ok(Preset::RobustIntelligence));
        assert!("vault".parse::<Preset>().is_err());
    }

    #[test]
    fn presets_match_their_products() {
        assert_eq!(alone(Preset::Standard), Policy::default());
        let rivery = alone(Preset::Rivery);
        assert!(rivery.unique_names && !rivery.self_service && rivery.reveal == Reveal::Once);
        let devo = alone(Preset::Devo);
        assert!(devo.reveal == Reveal::RecoverableAllowed && devo.permits_never());
        let kriten = alone(Preset::Kriten);
        assert!(kriten.self_service && kriten.permits_never() && kriten.prefix == "kri");
        let robust = alone(Preset::RobustIntelligence);
        assert_eq!(robust.max_tokens, Some(200));
        assert_eq!((robust.default_ttl_s, robust.max_ttl_s), (Some(23_328_000), Some(23_328_000)));
        assert!(!robust.permits_never());
    }

    #[test]
    fn workspace_preset_applies_if_the_instance_sets_no_rules() {
        for preset in Preset::ALL {
            let below = Policy::in_force(&PolicyRules::default(), &preset.rules());
            assert_eq!(below, alone(preset), "{preset}");
        }
    }

    #[test]
    fn devo_has_its_five_audiences() {
        let slugs: Vec<&str> = Preset::Devo.audiences().iter().map(|known| known.slug).collect();
        assert_eq!(slugs, ["aggregations", "apiv2", "apiv2-admin", "alerts", "http"]);
        for audience in Preset::Devo.audiences() {
            audience.slug.parse::<AudienceSlug>().unwrap();
            let scopes: Vec<ScopeName> =
                audience.scopes.iter().map(|scope| scope.0.parse().unwrap()).collect();
            for wanted in ["table://my.app.test.tokenapi", "table://*.**", "level://admin"] {
                let wanted = wanted.parse().unwrap();
                assert!(scopes.iter().any(|scope| scope.covers(&wanted)), "{wanted}");
            }
        }
    }
}
