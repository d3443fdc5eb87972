//! Errors in another product's terms.

use authority::ServiceError;
use domain::problem::Problem;

use crate::problem::ApiError;

/// Returns the service's error with the dialect's field names.
pub(super) fn renamed(error: ServiceError, names: &[(&str, &str)]) -> ApiError {
    let rename = |field: &mut String| {
        if let Some((_, theirs)) = names.iter().find(|(ours, _)| ours == field) {
            (*theirs).clone_into(field);
        }
    };
    match error {
        ServiceError::Invalid(mut errors) => {
            for error in &mut errors {
                rename(&mut error.field);
            }
            ServiceError::Invalid(errors).into()
        }
        ServiceError::BoundExceeded(mut errors) => {
            for error in &mut errors {
                rename(&mut error.field);
            }
            ServiceError::BoundExceeded(errors).into()
        }
        ServiceError::AlreadyExists(mut error) => {
            rename(&mut error.field);
            ServiceError::AlreadyExists(error).into()
        }
        other => other.into(),
    }
}

/// Returns the whole description of a problem in one text, for envelopes without a list of fields.
pub(super) fn told(problem: &Problem) -> String {
    match problem.errors.as_slice() {
        [] | [_] => problem.detail.clone(),
        errors => {
            let each: Vec<String> =
                errors.iter().map(|error| format!("{} {}", error.field, error.message)).collect();
            format!("{}.", each.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::problem::FieldError;

    use super::*;

    #[test]
    fn field_errors_use_the_names_of_the_dialect() {
        let names = [("expires_at", "expiration")];
        let told_of = |errors: Vec<FieldError>| {
            told(renamed(ServiceError::Invalid(errors), &names).problem())
        };
        let late = FieldError::new("expires_at", "must be in the future");
        assert_eq!(told_of(vec![late.clone()]), "expiration must be in the future.");
        let both = vec![FieldError::new("name", "must not be empty"), late];
        assert_eq!(told_of(both), "name must not be empty; expiration must be in the future.");
        let taken = FieldError::new("name", "is in use");
        let taken = renamed(ServiceError::AlreadyExists(taken), &[("name", "title")]);
        assert_eq!(told(taken.problem()), "title is in use.");
    }
}
