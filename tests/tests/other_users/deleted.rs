//! What another user of the node can see of deleted bytes, looked for in the arena itself.

use std::os::unix::fs::FileExt;

use super::*;

const PAGE_BYTES: usize = 4096;
const MARK: u8 = 0xa7;
const MARKED_BYTES: usize = 1 << 20;

impl Place {
    /// What `vineyardctl` prints, as root or as the other user.
    fn ctl(&self, is_other: bool, arguments: &[&str]) -> String {
        let program = self.folder.path().join("vineyardctl");
        let mut command = match is_other {
            true => as_other_user(&program),
            false => Command::new(program),
        };
        command.arg("--socket").arg(self.socket()).args(arguments);
        let output = command.output().unwrap();
        is_let_in(&output);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// How many pages of the arena have the mark.
    fn marked_pages(&self) -> usize {
        let folder = PathBuf::from(format!("/proc/{}/fd", self.process.pid()));
        let is_arena = |path: &PathBuf| {
            let target = fs::read_link(path).unwrap_or_default();
            target.to_string_lossy().contains("vineyard-bulk-arena")
        };
        let entries = fs::read_dir(folder).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let arena = fs::File::open(paths.find(is_arena).unwrap()).unwrap();
        let len = usize::try_from(arena.metadata().unwrap().len()).unwrap();
        let middles = (PAGE_BYTES / 2..len).step_by(PAGE_BYTES);
        let is_marked = |middle: &usize| {
            let mut byte = [0];
            arena.read_exact_at(&mut byte, *middle as u64).unwrap();
            byte == [MARK]
        };
        middles.filter(is_marked).count()
    }
}

#[test]
fn deleted_bytes_are_zero_before_another_user_maps_them_and_ever_after() {
    if cannot_be_another_user("deleted_bytes_are_zero_before_another_user_maps_them_and_ever_after")
    {
        return;
    }
    let place = Place::start(&["--socket-mode", "0666"]);
    let secret = place.folder.path().join("secret");
    fs::write(&secret, vec![MARK; MARKED_BYTES]).unwrap();
    let shared = place.folder.path().join("shared");
    fs::write(&shared, "for all").unwrap();
    set_mode(&shared, 0o644);
    let (secret, shared) = (secret.to_str().unwrap(), shared.to_str().unwrap());

    let first = place.ctl(false, &["put", secret]);
    assert!(place.marked_pages() >= MARKED_BYTES / PAGE_BYTES - 1);
    place.ctl(false, &["rm", &first]);
    let theirs = place.ctl(true, &["put", shared]);
    assert_eq!(place.marked_pages(), 0);

    let second = place.ctl(false, &["put", secret]);
    assert!(place.marked_pages() >= MARKED_BYTES / PAGE_BYTES - 1);
    place.ctl(false, &["rm", &second]);
    assert_eq!(place.marked_pages(), 0);
    assert_eq!(
        place.ctl(false, &["get", &theirs, "--output", "-"]),
        "for all"
    );
}
