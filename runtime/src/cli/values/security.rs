//! `--security-opt OPTION`, in docker's words.
//!
//! What docker confines and we do not (AppArmor, SELinux labels) is refused: an
//! option that does nothing would be taken for one that does.

use crate::cli::refusal::Refusal;
use crate::plan::{Seccomp, Security};

const OPTIONS: &str = "systempaths=unconfined, seccomp=unconfined or no-new-privileges=false";

/// What a container may do that was given these options: docker's default, less
/// each that is named.
///
/// # Errors
///
/// [`Refusal`] for the first option that is not one of ours.
pub fn security(options: &[String]) -> Result<Security, Refusal> {
    options.iter().try_fold(Security::default(), |security, option| with(security, option))
}

/// `security` with one option; docker takes `:` for `=`.
fn with(security: Security, option: &str) -> Result<Security, Refusal> {
    Ok(match option.split_once(['=', ':']).unwrap_or((option, "true")) {
        ("systempaths", "unconfined") => {
            Security { masked_paths: Vec::new(), read_only_paths: Vec::new(), ..security }
        }
        ("seccomp", "unconfined") => Security { seccomp: Seccomp::Unconfined, ..security },
        ("no-new-privileges", "true") => Security { no_new_privileges: true, ..security },
        ("no-new-privileges", "false") => Security { no_new_privileges: false, ..security },
        _ => {
            let what = format!("--security-opt {option:?}");
            return Err(Refusal::new(what, "not an option that there is").instead(OPTIONS));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(options: &[&str]) -> Security {
        security(&options.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn nothing_said_is_dockers_default() {
        assert_eq!(of(&[]), Security::default());
        assert_eq!(of(&["no-new-privileges"]), Security::default());
    }

    #[test]
    fn each_option_takes_one_thing_away() {
        let default = Security::default;
        for option in ["seccomp=unconfined", "seccomp:unconfined"] {
            assert_eq!(of(&[option]), Security { seccomp: Seccomp::Unconfined, ..default() });
        }
        let unmasked = Security { masked_paths: vec![], read_only_paths: vec![], ..default() };
        assert_eq!(of(&["systempaths=unconfined"]), unmasked);
        let gaining = Security { no_new_privileges: false, ..default() };
        assert_eq!(of(&["no-new-privileges:false"]), gaining);
        let both = of(&["seccomp=unconfined", "systempaths=unconfined"]);
        assert_eq!(both, Security { seccomp: Seccomp::Unconfined, ..unmasked });
    }

    #[test]
    fn what_would_do_nothing_is_refused() {
        for option in
            ["apparmor=unconfined", "label=disable", "seccomp=profile.json", "", "seccomp"]
        {
            assert_eq!(
                security(&[option.to_owned()]).unwrap_err().to_string(),
                format!(
                    "--security-opt {option:?}: not an option that there is \
                     (systempaths=unconfined, seccomp=unconfined or no-new-privileges=false)"
                )
            );
        }
    }
}
