//! Writers that wait for memory.

use super::*;

#[test]
fn what_never_fits_is_refused_at_once_and_a_full_arena_after_a_while() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let error = writer.chunk(ARENA_BYTES * 9 / 10).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::NotEnoughMemory));
        assert!(error.to_string().contains("never fits"), "{error}");
        let narrow = client
            .create_stream(StreamOptions::default().window_bytes_max(10))
            .await
            .unwrap();
        let mut to_narrow = client.open_writer(narrow).await.unwrap();
        assert_eq!(code(to_narrow.chunk(11).await), Code::NotEnoughMemory);

        let full = client
            .create_blob(ARENA_BYTES * 3 / 4)
            .await
            .unwrap()
            .seal()
            .await
            .unwrap();
        let error = writer.chunk(MIB).await.unwrap_err();
        assert_eq!(error.code(), Some(Code::NotEnoughMemory));
        assert!(
            error.to_string().contains("no stream has a chunk"),
            "{error}"
        );
        // Any freed memory wakes a writer.
        let frees = async {
            tokio::time::sleep(SOON).await;
            client.drop_blob(full.id()).await.unwrap();
            drop(full);
            client.sync_meta().await.unwrap();
        };
        let (chunk, ()) = tokio::join!(writer.chunk(MIB), frees);
        chunk.unwrap().push().await.unwrap();
    });
}

#[test]
fn a_reader_that_keeps_all_memory_and_waits_is_told_so() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        let writes = async {
            for n in 0..30_u8 {
                writer.write(&vec![n; MIB]).await.unwrap();
            }
            writer.finish().await.unwrap();
        };
        let reads = async {
            let (mut kept, mut copied) = (Vec::new(), Vec::new());
            loop {
                match reader.next().await {
                    Ok(Some(chunk)) => kept.push(chunk),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(error.code(), Some(Code::NotEnoughMemory), "{error}");
                        assert!(error.to_string().contains("you hold"), "{error}");
                        copied.extend(kept.drain(..).map(|chunk| chunk.blob().unwrap().to_vec()));
                    }
                }
            }
            copied.extend(kept.drain(..).map(|chunk| chunk.blob().unwrap().to_vec()));
            let expected: Vec<_> = (0..30_u8).map(|n| vec![n; MIB]).collect();
            assert!(copied == expected, "{} chunks", copied.len());
        };
        tokio::join!(writes, reads);
    });
}

#[test]
fn a_full_arena_is_told_to_a_writer_that_waits_in_short_requests() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let full = client.create_blob(ARENA_BYTES * 3 / 4).await.unwrap();
        let mut late = 0;
        let error = loop {
            match writer.chunk_timeout(MIB, SOON).await {
                Err(Error::Deadline { .. }) if late < 50 => late += 1,
                outcome => break outcome.unwrap_err(),
            }
        };
        assert_eq!(error.code(), Some(Code::NotEnoughMemory), "{error}");
        assert!(late > 1, "{late}");
        // The time counts anew afterwards.
        let again = writer.chunk_timeout(MIB, SOON).await;
        assert!(matches!(again, Err(Error::Deadline { .. })), "{again:?}");
        full.abort().await.unwrap();
        writer.chunk(MIB).await.unwrap().push().await.unwrap();
    });
}

#[test]
fn a_chunk_that_another_client_completes_stays_in_place_under_its_writer() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut filled = writer.chunk(MIB).await.unwrap();
        filled.as_mut_slice().fill(1);
        let mut options = Options::default();
        options.additions = false;
        let released = Client::connect_ipc(node.socket(), &options).await.unwrap();
        released.stop_stream(id, false, None).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        assert_eq!(read_all(&mut reader).await.unwrap(), [vec![1; MIB]]);
        // It was read and deleted, and the writer has it mapped.
        let pieces = client.instance_status().await.unwrap().pieces.unwrap();
        assert_eq!(pieces.deleted_bytes, MIB as u64);
        drop((filled, reader, writer));
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn an_aborted_chunk_leaves_no_bytes_behind() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        // More than the arena has.
        for _ in 0..20 {
            let chunk = writer.chunk_timeout(MIB, Duration::from_secs(1)).await;
            chunk.unwrap().into_blob().abort().await.unwrap();
        }
        writer.write(b"one").await.unwrap();
        let status = client.instance_status().await.unwrap();
        assert_eq!(status.memory_usage, 3);
        assert_eq!(status.pieces.unwrap().deleted_bytes, 0);
    });
}

#[test]
fn a_released_reader_is_not_asked_to_let_go_of_what_may_be_used_again() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let mut options = Options::default();
        options.additions = false;
        let released = Client::connect_ipc(node.socket(), &options).await.unwrap();
        let id = client
            .create_stream(StreamOptions::default())
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = released
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        writer.write(&vec![1; MIB]).await.unwrap();
        let _kept = reader.next().await.unwrap().unwrap();
        let full = client.create_blob(ARENA_BYTES * 3 / 4).await.unwrap();
        let frees = async {
            tokio::time::sleep(2 * SOON).await;
            full.abort().await.unwrap();
        };
        let reads = async {
            tokio::time::sleep(SOON).await;
            reader.next().await
        };
        let bytes = vec![2; MIB];
        let (written, read, ()) = tokio::join!(writer.write(&bytes), reads, frees);
        written.unwrap();
        assert_eq!(read.unwrap().unwrap().blob().unwrap()[..], bytes);
    });
}
