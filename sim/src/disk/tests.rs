use super::*;

fn put(key: &str) -> Batch {
    vec![Change::Put(key.into(), b"value".to_vec())]
}

fn disk() -> SimDisk {
    disk_of(1)
}

fn disk_of(seed: u64) -> SimDisk {
    SimDisk {
        platter: Platter::new(seed, "n1", Trace::new(None)),
    }
}

async fn commit(disk: &SimDisk, batch: Batch) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    disk.commit(batch, Box::new(move |result| drop(tell.send(result))));
    told.await.expect("the writer answers")
}

async fn write(disk: &SimDisk, number: u64, size: usize) -> io::Result<()> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let done = Box::new(move |result| drop(tell.send(result)));
    disk.files().write(number, Arc::new(vec![7; size]), done);
    told.await.expect("the writer answers")
}

/// Lets the machine's writer run until `body` ends.
async fn while_written<T>(disk: &SimDisk, body: impl Future<Output = T>) -> T {
    tokio::select! {
        biased;
        value = body => value,
        () = disk.platter.clone().write() => unreachable!("the writer runs for ever"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_synced_survives_a_power_loss_and_nothing_else_does() {
    let disk = disk();
    while_written(&disk, async {
        commit(&disk, put("first")).await.unwrap();
        disk.commit(put("second"), Box::new(|_| ()));
    })
    .await;
    assert_eq!(disk.platter.crash(false), 1);
    assert!(disk.get(b"first").unwrap().is_some());
    assert!(disk.get(b"second").unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn after_a_failed_sync_nothing_is_durable_until_the_process_starts_anew() {
    let disk = disk();
    while_written(&disk, async {
        disk.platter.set_health(Health {
            fails_per_mille: 1000,
            ..Health::GOOD
        });
        assert!(commit(&disk, put("first")).await.is_err());
        disk.platter.set_health(Health::GOOD);
        assert!(commit(&disk, put("second")).await.is_err());
    })
    .await;
    disk.platter.crash(true);
    while_written(&disk, async { commit(&disk, put("third")).await.unwrap() }).await;
    assert_eq!(disk.platter.failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_not_finished_is_whole_or_absent_after_a_crash() {
    let (mut whole, mut absent) = (0, 0);
    for seed in 0..16 {
        let disk = disk_of(seed);
        while_written(&disk, async {
            write(&disk, 1, 10).await.unwrap();
            disk.files().remove(1);
            disk.files()
                .write(2, Arc::new(vec![7; 1 << 20]), Box::new(|_| ()));
            sleep(Duration::from_millis(1)).await;
        })
        .await;
        disk.platter.crash(false);
        match disk.files().read(2) {
            Ok(bytes) if bytes == vec![7; 1 << 20] => whole += 1,
            Ok(_) => panic!("a file was torn"),
            Err(_) => absent += 1,
        }
    }
    assert!(whole > 0 && absent > 0, "{whole} whole, {absent} absent");
}

#[tokio::test(start_paused = true)]
async fn what_is_queued_on_a_full_disk_waits_for_room() {
    let disk = disk();
    while_written(&disk, async {
        disk.platter.set_free(Some(0));
        assert_eq!(disk.room().unwrap().map(|room| room.free_bytes), Some(0));
        let refused = write(&disk, 1, 10).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        let waiting = commit(&disk, put("first"));
        let waits = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(waits.is_err());
        disk.platter.set_free(None);
        commit(&disk, put("second")).await.unwrap();
    })
    .await;
    assert!(disk.get(b"first").unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_file_that_fails_to_sync_poisons_nothing() {
    let disk = disk();
    while_written(&disk, async {
        disk.platter.set_health(Health {
            fails_per_mille: 1000,
            ..Health::GOOD
        });
        assert!(write(&disk, 1, 10).await.is_err());
        disk.platter.set_health(Health::GOOD);
        commit(&disk, put("first")).await.unwrap();
        write(&disk, 2, 10).await.unwrap();
    })
    .await;
    assert_eq!(disk.files().list().unwrap(), [2]);
    assert_eq!(disk.platter.file_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn failed_syncs_leave_no_hole() {
    for seed in 0..32 {
        let disk = disk_of(seed);
        disk.platter.set_health(Health {
            fails_per_mille: 1000,
            ..Health::GOOD
        });
        while_written(&disk, async {
            disk.commit(put("first"), Box::new(|_| ()));
            tokio::task::yield_now().await;
            assert!(commit(&disk, put("second")).await.is_err());
        })
        .await;
        disk.platter.crash(true);
        let there = |key: &[u8]| disk.get(key).unwrap().is_some();
        assert!(there(b"first") || !there(b"second"), "seed {seed}");
    }
}
