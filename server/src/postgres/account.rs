//! The user that runs PostgreSQL. PostgreSQL refuses to run as root, so root runs it as `postgres`
//! or `nobody`.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::PostgresError;

/// The user that runs the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    gid: u32,
    name: String,
    /// Whether this process is root and must switch to this user.
    switch: bool,
}

impl Account {
    /// Chooses this process's own user, unless that is root.
    pub(super) fn choose() -> Result<Self, PostgresError> {
        let uid = rustix::process::geteuid();
        if uid.is_root() {
            // Directory services are not queried, because their users don't run servers.
            let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
            return stand_in(&users).ok_or(PostgresError::NoAccount);
        }
        Ok(Self {
            uid: uid.as_raw(),
            gid: rustix::process::getegid().as_raw(),
            name: String::new(),
            switch: false,
        })
    }

    /// Rejects a user ID without a name, because `initdb` looks up the name. Containers often run
    /// under such an ID.
    pub(super) fn check_name(&self) -> Result<(), PostgresError> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if self.switch || is_named(&users, self.uid) || nss_wrapper().is_some() {
            return Ok(());
        }
        Err(PostgresError::NamelessUser { uid: self.uid, gid: self.gid })
    }

    /// Gives a command a name for a user ID that has none, if `nss_wrapper` is installed. Returns
    /// `scratch` if it created this folder; the caller removes the folder afterwards.
    pub(super) fn name(
        &self,
        command: &mut Command,
        scratch: &Path,
    ) -> Result<Option<PathBuf>, PostgresError> {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        if self.switch || is_named(&users, self.uid) {
            return Ok(None);
        }
        let Some(library) = nss_wrapper() else { return Ok(None) };
        fs::create_dir_all(scratch).map_err(PostgresError::io("create the folder", scratch))?;
        let (passwd, group) = (scratch.join("nss_passwd"), scratch.join("nss_group"));
        let line = format!("tessera:x:{}:{}:Tessera:/:/usr/sbin/nologin\n", self.uid, self.gid);
        fs::write(&passwd, format!("{users}{line}"))
            .map_err(PostgresError::io("write", &passwd))?;
        let groups = fs::read_to_string("/etc/group").unwrap_or_default();
        fs::write(&group, groups).map_err(PostgresError::io("write", &group))?;
        command
            .env("LD_PRELOAD", library)
            .env("NSS_WRAPPER_PASSWD", passwd)
            .env("NSS_WRAPPER_GROUP", group);
        Ok(Some(scratch.to_owned()))
    }

    /// Makes a command run as this user. Root's supplementary groups are dropped together with its
    /// rights.
    pub(super) fn run(&self, command: &mut Command) {
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Makes this user the owner of a file or folder.
    pub(super) fn own(&self, path: &Path) -> Result<(), PostgresError> {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid))
                .map_err(PostgresError::io("change the owner of", path))?;
        }
        Ok(())
    }

    /// Rejects a folder that this user cannot reach.
    pub(super) fn check_way(&self, folder: &Path) -> Result<(), PostgresError> {
        match self.closed_on_way(folder) {
            Some(closed) if self.switch => {
                Err(PostgresError::ClosedWay { user: self.name.clone(), closed })
            }
            _ => Ok(()),
        }
    }

    /// Returns the first folder on the path that this user cannot traverse. Folders that do not
    /// exist yet will be created traversable.
    fn closed_on_way(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter()
            .find(|folder| {
                fs::metadata(folder)
                    .is_ok_and(|found| !self.may_pass(found.mode(), found.uid(), found.gid()))
            })
            .map(Path::to_owned)
    }

    const fn may_pass(&self, mode: u32, uid: u32, gid: u32) -> bool {
        // The kernel checks only the first class that applies.
        let bit = if uid == self.uid {
            0o100
        } else if gid == self.gid {
            0o010
        } else {
            0o001
        };
        mode & bit != 0
    }
}

/// Returns why the embedded database cannot use this folder when Tessera runs as root, if it
/// cannot.
pub(crate) fn obstacle(folder: &Path) -> Option<String> {
    let account = Account::choose().ok().filter(|account| account.switch)?;
    let closed = account.closed_on_way(folder)?;
    Some(format!(
        "PostgreSQL runs as the user {} here, which cannot enter the folder {}",
        account.name,
        closed.display()
    ))
}

fn is_named(users: &str, uid: u32) -> bool {
    users.lines().any(|line| line.split(':').nth(2).and_then(|id| id.parse().ok()) == Some(uid))
}

/// Returns the library that gives names to user IDs, if it is installed.
fn nss_wrapper() -> Option<PathBuf> {
    const FOLDERS: &[&str] =
        &["/usr/lib64", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"];
    FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join("libnss_wrapper.so"))
        .find(|path| path.exists())
}

fn stand_in(users: &str) -> Option<Account> {
    ["postgres", "nobody"].into_iter().find_map(|wanted| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next().filter(|name| *name == wanted)?;
            let mut numbers = fields.skip(1);
            let uid = numbers.next()?.parse().ok()?;
            let gid = numbers.next()?.parse().ok()?;
            (uid != 0).then(|| Account { uid, gid, name: name.to_owned(), switch: true })
        })
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";

    #[test]
    fn stand_in_prefers_postgres_over_nobody() {
        assert_eq!(stand_in(USERS).unwrap().uid, 65534);
        let users = format!("{USERS}postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n");
        assert_eq!(
            stand_in(&users).unwrap(),
            Account { uid: 101, gid: 104, name: "postgres".into(), switch: true }
        );
        assert_eq!(stand_in("postgres:x:0:0::/:"), None);
        assert_eq!(stand_in(""), None);
    }

    #[test]
    fn user_id_is_found_only_in_its_own_field() {
        assert!(is_named(USERS, 65534) && is_named(USERS, 0));
        assert!(!is_named(USERS, 54321));
        assert!(!is_named("x:y:z\n:::\n", 0));
    }

    #[test]
    fn inaccessible_parent_folder_is_reported() {
        let root = TempDir::new().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let closed = root.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let somebody =
            Account { uid: 4_000_000, gid: 4_000_000, name: "somebody".into(), switch: true };
        assert_eq!(somebody.closed_on_way(&closed.join("a/b")), Some(closed.clone()));
        assert_eq!(somebody.closed_on_way(&root.path().join("open/b")), None);
        let error = somebody.check_way(&closed).unwrap_err().to_string();
        assert!(
            error.contains("somebody") && error.contains("--data-dir /var/lib/tessera"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn parsing_any_user_list_never_panics(users in any::<String>()) {
            let _ = stand_in(&users);
        }
    }
}
