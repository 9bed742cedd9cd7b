//! Several readers, and readers that leave.

use super::*;

#[test]
fn a_reader_that_leaves_fails_the_stream_or_is_waited_for() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default().window_bytes_max(10))
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        writer.write(&[1; 10]).await.unwrap();
        let leaves = async {
            tokio::time::sleep(SOON).await;
            // The view of a chunk keeps the connection, and not the reader.
            let view = reader.next().await.unwrap().unwrap();
            drop(reader);
            view
        };
        let (chunk, view) = tokio::join!(writer.chunk(10), leaves);
        let error = chunk.unwrap_err();
        assert_eq!(error.code(), Some(Code::StreamFailed));
        assert!(error.to_string().contains("the reader left"), "{error}");
        assert_eq!(view.blob().unwrap()[..], [1; 10]);
        drop((writer, view));

        let options = StreamOptions::default().on_reader_gone(OnReaderGone::Wait);
        let id = client.create_stream(options).await.unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        for n in 0..3 {
            writer.write(&[n]).await.unwrap();
        }
        writer.finish().await.unwrap();
        reader.next().await.unwrap();
        reader.next().await.unwrap();
        drop(reader);
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        assert_eq!(read_all(&mut reader).await.unwrap(), [[1], [2]]);
        drop((reader, writer));
        client.drop_stream(id).await.unwrap();
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn a_drop_answers_those_who_wait() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let id = client
            .create_stream(StreamOptions::default().window_bytes_max(10))
            .await
            .unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::cursor("a"))
            .await
            .unwrap();
        writer.write(&[1; 10]).await.unwrap();
        reader.next().await.unwrap();
        let drops = async {
            while !client.stream_status(id).await.unwrap().writer_waits {
                tokio::task::yield_now().await;
            }
            client.drop_stream(id).await.unwrap();
        };
        let (chunk, ()) = tokio::join!(writer.chunk(1), drops);
        let error = chunk.unwrap_err();
        assert!(
            error.to_string().contains("the stream was dropped"),
            "{error}"
        );
        assert_eq!(code(reader.next().await), Code::ObjectNotExists);
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn each_of_three_readers_gets_all_and_three_that_share_get_each_chunk_once() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        for kind in [ReadersKind::Each, ReadersKind::Share] {
            let options = StreamOptions::default()
                .readers(kind)
                .readers_min(3)
                .window_bytes_max(50);
            let id = client.create_stream(options).await.unwrap();
            let mut writer = client.open_writer(id).await.unwrap();
            let mut readers = Vec::new();
            for name in ["a", "b", "c"] {
                readers.push(
                    client
                        .open_reader(id, &ReaderOptions::cursor(name))
                        .await
                        .unwrap(),
                );
            }
            let writes = async {
                for n in 0..60 {
                    writer.write(&[n; 10]).await.unwrap();
                }
                writer.finish().await.unwrap();
            };
            let reads = futures::future::join_all(readers.iter_mut().map(read_all));
            let (read, ()) = tokio::join!(reads, writes);
            let read: Vec<Vec<Vec<u8>>> = read.into_iter().map(Result::unwrap).collect();
            let all: Vec<Vec<u8>> = (0..60).map(|n| vec![n; 10]).collect();
            match kind {
                ReadersKind::Share => {
                    assert!(read.iter().all(|one| one.is_sorted()));
                    let mut read = read.concat();
                    read.sort();
                    assert_eq!(read, all);
                }
                _ => assert!(read.iter().all(|one| *one == all)),
            }
            drop((readers, writer));
            client.drop_stream(id).await.unwrap();
        }
        assert_eq!(usage(&client).await, (0, 0, 0));
    });
}

#[test]
fn what_a_shared_reader_had_goes_to_the_others() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let options = StreamOptions::default().readers(ReadersKind::Share);
        let id = client.create_stream(options).await.unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut one = client
            .open_reader(id, &ReaderOptions::cursor("a"))
            .await
            .unwrap();
        let mut other = client
            .open_reader(id, &ReaderOptions::cursor("b"))
            .await
            .unwrap();
        for n in 0..6 {
            writer.write(&[n]).await.unwrap();
        }
        writer.finish().await.unwrap();
        one.next_many(3).await.unwrap();
        let leaves = async {
            tokio::time::sleep(SOON).await;
            drop(one);
        };
        let (read, ()) = tokio::join!(read_all(&mut other), leaves);
        let mut read = read.unwrap().concat();
        read.sort_unstable();
        assert_eq!(read, [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn chunks_that_were_read_are_replayed_as_far_as_they_are_kept() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let options = StreamOptions::default()
            .readers(ReadersKind::Each)
            .retain_bytes_max(30);
        let id = client.create_stream(options).await.unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        for n in 0..10 {
            writer.write(&[n; 10]).await.unwrap();
        }
        writer.finish().await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::cursor("a"))
            .await
            .unwrap();
        assert_eq!(read_all(&mut reader).await.unwrap().len(), 10);
        let from = |name: &str, start| ReaderOptions::cursor(name).from(start);
        let mut again = client
            .open_reader(id, &from("b", ReaderStart::Start))
            .await
            .unwrap();
        assert_eq!(
            read_all(&mut again).await.unwrap(),
            [[7; 10], [8; 10], [9; 10]]
        );
        let mut one = client
            .open_reader(id, &from("c", ReaderStart::Number(9)))
            .await
            .unwrap();
        assert_eq!(read_all(&mut one).await.unwrap(), [[9; 10]]);
        let error = client
            .open_reader(id, &from("d", ReaderStart::Number(6)))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Some(Code::InvalidStreamState));
        assert!(error.to_string().contains("the oldest is 7"), "{error}");
        let status = client.stream_status(id).await.unwrap();
        assert_eq!(
            (status.state, status.retained_bytes),
            (StreamState::Drained, 30)
        );
    });
}

#[test]
fn a_chunk_that_was_read_and_is_kept_makes_room_in_the_window() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let options = StreamOptions::default()
            .window_bytes_max(10)
            .retain_bytes_max(1000);
        let id = client.create_stream(options).await.unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        let writes = async {
            for n in 0..5 {
                writer.write(&[n; 10]).await.unwrap();
            }
            writer.finish().await.unwrap();
        };
        let both = async { tokio::join!(read_all(&mut reader), writes) };
        // Woken, not asked again when a part of the wait has ended.
        let both = tokio::time::timeout(Duration::from_secs(3), both).await;
        assert_eq!(both.expect("soon").0.unwrap().len(), 5);
    });
}

#[test]
fn objects_are_retained_up_to_their_bytes() {
    with_node(limits(), async |node| {
        let client = client(node).await;
        let options = StreamOptions::default().retain_bytes_max(250_000);
        let id = client.create_stream(options).await.unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        for n in 0..10 {
            let draft = Draft::new("test::Frame").blob("buffer_", vec![n; 100_000]);
            writer.put(draft).await.unwrap();
            reader.next().await.unwrap().unwrap();
        }
        writer.finish().await.unwrap();
        assert!(reader.next().await.unwrap().is_none());
        let status = client.stream_status(id).await.unwrap();
        assert_eq!((status.retained_bytes, status.oldest_number), (200_000, 8));
    });
}

#[test]
fn a_request_that_may_not_wait_is_not_known_to_wait() {
    let limits = Limits {
        waiting_max: 0,
        ..limits()
    };
    with_node(limits, async |node| {
        let client = client(node).await;
        let options = StreamOptions::default().window_bytes_max(10);
        let id = client.create_stream(options).await.unwrap();
        let mut writer = client.open_writer(id).await.unwrap();
        let mut reader = client
            .open_reader(id, &ReaderOptions::default())
            .await
            .unwrap();
        assert_eq!(code(reader.next().await), Code::VineyardServerNotReady);
        writer.write(&[1; 10]).await.unwrap();
        let refused = writer.write(&[1; 10]).await;
        assert_eq!(code(refused), Code::VineyardServerNotReady);
        let status = client.stream_status(id).await.unwrap();
        assert!(!status.writer_waits && !status.cursors[0].waits);
    });
}

#[test]
fn what_an_ended_stream_refuses_leaves_nothing_behind() {
    with_node(limits(), async |node| {
        let local = client(node).await;
        let remote = Client::connect_rpc(node.node.endpoint(), &Options::default())
            .await
            .unwrap();
        for client in [&local, &remote] {
            let id = client
                .create_stream(StreamOptions::default())
                .await
                .unwrap();
            let mut writer = client.open_writer(id).await.unwrap();
            client.stop_stream(id, false, None).await.unwrap();
            let draft = Draft::new("test::Frame").blob("buffer_", vec![1; 200_000]);
            assert_eq!(code(writer.put(draft).await), Code::InvalidStreamState);
            let written = writer.write(&[1; 200_000]).await;
            assert_eq!(code(written), Code::InvalidStreamState);
            drop(writer);
            client.drop_stream(id).await.unwrap();
        }
        assert_eq!(usage(&local).await, (0, 0, 0));
    });
}
