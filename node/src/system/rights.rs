//! Whether a user may connect to a Unix socket: what the kernel decides by the rights of the file and of the folders
//! above it.
//!
//! Pure: `users` reads the rights and the groups. Only modes are known, no access control lists.

use std::io;

use vineyard_env::User;

const ROOT: User = User::Known(0);
const WRITE: u32 = 0o2;
const SEARCH: u32 = 0o1;

/// Owner, group and mode of one file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) owner: u32,
    pub(crate) group: u32,
    pub(crate) mode: u32,
}

/// Whether one folder or file on the path to the socket lets a user pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Open,
    Closed,
    /// Open to the members of this group, or to all users but them.
    Depends {
        group: u32,
        on_membership: bool,
    },
}

impl Rights {
    fn step(&self, user: User, right: u32) -> Step {
        let of_group = self.mode >> 3 & right != 0;
        let of_others = self.mode & right != 0;
        let open = match (user, of_group == of_others) {
            (User::Known(number), _) if number == self.owner => self.mode >> 6 & right != 0,
            (_, true) => of_others,
            (User::Known(_), false) => {
                return Step::Depends {
                    group: self.group,
                    on_membership: of_group,
                };
            }
            // Group membership is unknown, so such a user needs the right of both classes.
            (User::Unmapped, false) => false,
        };
        if open { Step::Open } else { Step::Closed }
    }
}

/// The socket, and every folder above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) socket: Rights,
    pub(crate) folders: Vec<Rights>,
}

/// Whether `user` needs no rights: true for root and for `own`, the node's user, which may change the rights of the
/// socket.
pub(crate) fn is_above_rights(user: User, own: u32) -> bool {
    user == ROOT || user == User::Known(own)
}

/// Whether `user` may connect along `way`. `groups` is called only if the result depends on the user's groups.
pub(crate) fn may_connect(
    user: User,
    way: &Way,
    groups: impl FnOnce() -> io::Result<Vec<u32>>,
) -> io::Result<bool> {
    let folders = way.folders.iter().map(|folder| folder.step(user, SEARCH));
    let steps: Vec<Step> = folders.chain([way.socket.step(user, WRITE)]).collect();
    if steps.contains(&Step::Closed) {
        return Ok(false);
    }
    if steps.iter().all(|step| *step == Step::Open) {
        return Ok(true);
    }
    let groups = groups()?;
    Ok(steps.iter().all(|step| match step {
        Step::Depends {
            group,
            on_membership,
        } => groups.contains(group) == *on_membership,
        Step::Open | Step::Closed => *step == Step::Open,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rights(owner: u32, group: u32, mode: u32) -> Rights {
        Rights { owner, group, mode }
    }

    fn ask(user: User, socket: Rights, folders: &[Rights], groups: &[u32]) -> bool {
        let folders = folders.to_vec();
        may_connect(user, &Way { socket, folders }, || Ok(groups.to_vec())).unwrap()
    }

    const FOLDER: Rights = Rights {
        owner: 0,
        group: 0,
        mode: 0o755,
    };
    const ANN: User = User::Known(1000);

    #[test]
    fn owner_group_and_others_have_what_the_mode_gives_them() {
        for (socket, groups, expected) in [
            (rights(0, 0, 0o660), &[1000][..], false),
            (rights(0, 0, 0o666), &[1000], true),
            (rights(0, 50, 0o660), &[1000, 50], true),
            (rights(0, 50, 0o660), &[1000], false),
            (rights(1000, 50, 0o600), &[], true),
            // The first class that matches decides, as in the kernel.
            (rights(1000, 50, 0o466), &[50], false),
            (rights(0, 50, 0o606), &[50], false),
            (rights(0, 50, 0o606), &[51], true),
            (rights(0, 0, 0o664), &[1000], false),
        ] {
            assert_eq!(ask(ANN, socket, &[FOLDER], groups), expected, "{socket:?}");
        }
    }

    #[test]
    fn each_folder_must_let_the_user_pass() {
        let open = rights(0, 0, 0o666);
        for (folder, groups, expected) in [
            (rights(0, 0, 0o700), &[1000][..], false),
            (rights(0, 0, 0o711), &[1000], true),
            (rights(0, 0, 0o744), &[1000], false),
            (rights(1000, 0, 0o700), &[1000], true),
            (rights(0, 50, 0o710), &[50], true),
            (rights(0, 50, 0o710), &[51], false),
            (rights(0, 0, 0o1777), &[1000], true),
        ] {
            let folders = [FOLDER, folder, FOLDER];
            assert_eq!(ask(ANN, open, &folders, groups), expected, "{folder:?}");
        }
    }

    #[test]
    fn a_user_without_a_number_here_has_what_group_and_others_both_have() {
        for (mode, expected) in [(0o666, true), (0o660, false), (0o606, false)] {
            let socket = rights(65534, 65534, mode);
            assert_eq!(ask(User::Unmapped, socket, &[FOLDER], &[]), expected);
        }
    }

    #[test]
    fn only_root_and_the_nodes_user_need_no_rights() {
        for (user, expected) in [
            (User::Known(0), true),
            (User::Known(7), true),
            (User::Known(8), false),
            (User::Unmapped, false),
        ] {
            assert_eq!(is_above_rights(user, 7), expected, "{user:?}");
        }
    }

    #[test]
    fn groups_are_asked_for_only_if_they_decide() {
        let ask = |socket, folder| {
            let folders = vec![folder];
            let unasked = || Err(io::Error::other("asked"));
            may_connect(ANN, &Way { socket, folders }, unasked).ok()
        };
        assert_eq!(ask(rights(0, 0, 0o666), FOLDER), Some(true));
        assert_eq!(ask(rights(0, 5, 0o660), FOLDER), None);
        assert_eq!(ask(rights(0, 5, 0o660), rights(0, 0, 0o700)), Some(false));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// The kernel's rule, spelled out.
        #[test]
        fn it_is_the_kernels_rule(
            files in prop::collection::vec((0_u32..3, 0_u32..3, 0_u32..0o1000), 1..4),
            user in 0_u32..3,
            groups in prop::collection::vec(0_u32..3, 0..3),
        ) {
            let all: Vec<Rights> = files.iter().map(|(o, g, m)| rights(*o, *g, *m)).collect();
            let bits = |file: &Rights| match () {
                () if file.owner == user => file.mode >> 6,
                () if groups.contains(&file.group) => file.mode >> 3,
                () => file.mode,
            };
            let (socket, folders) = all.split_first().unwrap();
            let expected = bits(socket) & 2 != 0 && folders.iter().all(|f| bits(f) & 1 != 0);
            prop_assert_eq!(ask(User::Known(user), *socket, folders, &groups), expected);
        }
    }
}
