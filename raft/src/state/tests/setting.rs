//! What is set for the whole cluster.

use super::*;
use crate::state::{METADATA_QUOTA_BYTES, ROUND_TRIP_MS, Settings};

pub(super) fn configure(settings: Settings, if_unset: bool) -> Command {
    Command::Configure { settings, if_unset }
}

fn round_trip(ms: u64) -> Settings {
    Settings {
        round_trip_ms: Some(ms),
        ..Settings::default()
    }
}

#[test]
fn what_is_set_stays_until_it_is_set_anew() {
    let mut replica = Replica::of_three();
    assert_eq!(replica.state.round_trip_ms(), ROUND_TRIP_MS);
    assert_eq!(replica.state.metadata_quota_bytes(), METADATA_QUOTA_BYTES);
    let founding = configure(round_trip(300), true);
    assert_eq!(replica.done(founding.clone()), [Event::SettingsChanged]);
    let quota = Settings {
        metadata_quota_bytes: Some(1 << 20),
        ..Settings::default()
    };
    assert_eq!(
        replica.done(configure(quota, false)),
        [Event::SettingsChanged]
    );
    assert_eq!(replica.state.round_trip_ms(), 300, "it was not spoken of");
    assert_eq!(replica.state.metadata_quota_bytes(), 1 << 20);
    replica.done(configure(round_trip(100), false));
    assert_eq!(replica.done(founding), [], "the founder is started again");
    assert_eq!(replica.state.round_trip_ms(), 100);
}
