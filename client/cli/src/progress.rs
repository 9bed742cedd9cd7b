//! A bar with rate and ETA for what can take long. It shows on a terminal only.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar that counts bytes up to `total`.
pub(crate) fn bytes(doing: &str, total: u64) -> ProgressBar {
    let style = "{msg} [{bar:32}] {bytes}/{total_bytes}  {binary_bytes_per_sec}  ETA {eta}";
    let bar = ProgressBar::new(total).with_message(doing.to_owned());
    bar.set_style(ProgressStyle::with_template(style).expect("the template is constant and valid"));
    bar
}
