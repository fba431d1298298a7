use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn pair(size: usize) -> (Deliveries, Consumer<Message, Ack>) {
    window(size, &Gate::new())
}

fn message(text: &str) -> Message {
    Message::new("orders", text.to_owned())
}

#[tokio::test]
async fn an_answer_reaches_its_message() {
    let (deliveries, mut consumer) = pair(4);
    let first = deliveries.deliver(message("1")).await.unwrap();
    let second = deliveries.deliver(message("2")).await.unwrap();
    let (one, two) = (
        consumer.next().await.unwrap(),
        consumer.next().await.unwrap(),
    );
    assert_eq!(
        (one.message.data.as_ref(), two.message.data.as_ref()),
        (&b"1"[..], &b"2"[..])
    );
    consumer
        .settler()
        .settle(two.id, Ack::Rejected("busy".to_owned()))
        .unwrap();
    consumer.settler().settle(one.id, Ack::Accepted).unwrap();
    assert_eq!(first.await, Ack::Accepted);
    assert_eq!(second.await, Ack::Rejected("busy".to_owned()));
}

#[tokio::test]
async fn a_full_window_waits_and_a_dropped_answer_keeps_its_slot() {
    let (deliveries, mut consumer) = pair(1);
    drop(deliveries.deliver(message("1")).await.unwrap());
    let waiting = deliveries.deliver(message("2"));
    tokio::pin!(waiting);
    assert!(
        futures::poll!(&mut waiting).is_pending(),
        "the window has one slot and it is taken"
    );
    let one = consumer.next().await.unwrap();
    assert!(
        futures::poll!(&mut waiting).is_pending(),
        "taking a message out frees no slot"
    );
    consumer.settler().settle(one.id, Ack::Accepted).unwrap();
    waiting.await.unwrap();
}

#[tokio::test]
async fn room_is_what_can_be_delivered_at_once() {
    let gate = Gate::new();
    let (deliveries, mut consumer) = window::<Message, Ack>(2, &gate);
    assert_eq!(deliveries.room().await.unwrap(), 2);
    let _first = deliveries.deliver(message("1")).await.unwrap();
    assert_eq!(deliveries.room().await.unwrap(), 1);
    let _second = deliveries.deliver(message("2")).await.unwrap();

    let room = deliveries.room();
    tokio::pin!(room);
    assert!(futures::poll!(&mut room).is_pending(), "the window is full");
    let id = consumer.next().await.unwrap().id;
    consumer.settler().settle(id, Ack::Accepted).unwrap();
    assert_eq!(room.await.unwrap(), 1);

    gate.pause();
    let room = deliveries.room();
    tokio::pin!(room);
    assert!(
        futures::poll!(&mut room).is_pending(),
        "the runtime has paused"
    );
    gate.resume();
    assert_eq!(room.await.unwrap(), 1);
    consumer.close();
    assert_eq!(deliveries.room().await, Err(Closed));
}

#[tokio::test]
async fn any_size_will_do() {
    for size in [0, usize::MAX] {
        let (deliveries, mut consumer) = pair(size);
        deliveries.deliver(message("1")).await.unwrap();
        consumer.next().await.unwrap();
    }
}

#[tokio::test]
async fn ids_are_settled_once() {
    let (deliveries, mut consumer) = pair(4);
    let pending = deliveries.deliver(message("1")).await.unwrap();
    let id = consumer.next().await.unwrap().id;
    let settler = consumer.settler();
    assert_eq!(
        settler.settle(id + 1, Ack::Accepted),
        Err(Unsettled::Unknown)
    );
    assert_eq!(settler.settle(0, Ack::Accepted), Err(Unsettled::Unknown));
    assert_eq!(settler.settle(id, Ack::Accepted), Ok(()));
    assert_eq!(
        settler.settle(id, Ack::Rejected("late".to_owned())),
        Err(Unsettled::Repeated)
    );
    assert_eq!(pending.await, Ack::Accepted);
}

#[tokio::test]
async fn what_was_not_sent_cannot_be_answered() {
    let (deliveries, mut consumer) = pair(1);
    let pending = deliveries.deliver(message("1")).await.unwrap();
    let made_up = consumer.settler().settle(1, Ack::Accepted);
    assert_eq!(made_up, Err(Unsettled::Unknown));
    let id = consumer.next().await.unwrap().id;
    consumer.settler().settle(id, Ack::Accepted).unwrap();
    assert_eq!(pending.await, Ack::Accepted);
    deliveries.deliver(message("2")).await.unwrap();
}

#[tokio::test]
async fn the_end_abandons_what_is_open() {
    let (deliveries, consumer) = pair(2);
    let queued = deliveries.deliver(message("1")).await.unwrap();
    let second = deliveries.deliver(message("2")).await.unwrap();
    let waiting = deliveries.deliver(message("3"));
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(consumer);
    assert_eq!(queued.await, Ack::Abandoned);
    assert_eq!(second.await, Ack::Abandoned);
    assert!(matches!(waiting.await, Err(Closed)));
    deliveries.closed().await;
    assert!(deliveries.is_closed());
    assert_eq!(deliveries.in_flight(), 0);
}

#[tokio::test]
async fn a_pause_holds_messages_back_and_takes_answers() {
    let gate = Gate::new();
    let (deliveries, mut consumer): (Deliveries, _) = window(4, &gate);
    let pending = deliveries.deliver(message("1")).await.unwrap();
    let one = consumer.next().await.unwrap();
    let _queued = deliveries.deliver(message("2")).await.unwrap();
    gate.pause();
    {
        let next = consumer.next();
        tokio::pin!(next);
        assert!(
            futures::poll!(next).is_pending(),
            "a queued message is held back"
        );
        let third = deliveries.deliver(message("3"));
        tokio::pin!(third);
        assert!(
            futures::poll!(third).is_pending(),
            "a new message is held back"
        );
    }
    consumer.settler().settle(one.id, Ack::Accepted).unwrap();
    assert_eq!(pending.await, Ack::Accepted);
    gate.resume();
    assert_eq!(consumer.next().await.unwrap().message.data.as_ref(), b"2");
}

#[tokio::test]
async fn a_delivery_that_waits_for_room_sees_the_pause_that_came_meanwhile() {
    let gate = Gate::new();
    let (deliveries, mut consumer): (Deliveries, _) = window(1, &gate);
    deliveries.deliver(message("1")).await.unwrap();
    let waiting = deliveries.deliver(message("2"));
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    let first = consumer.next().await.unwrap();
    gate.pause();
    consumer.settler().settle(first.id, Ack::Accepted).unwrap();
    assert!(futures::poll!(&mut waiting).is_pending());
    assert_eq!(deliveries.in_flight(), 0);
    gate.resume();
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn patience_counts_from_the_last_answer_on_the_stream() {
    let (deliveries, mut consumer) = pair(4);
    let first = deliveries.deliver(message("1")).await.unwrap();
    let second = deliveries.deliver(message("2")).await.unwrap();
    let (one, two) = (
        consumer.next().await.unwrap(),
        consumer.next().await.unwrap(),
    );
    let patience = Duration::from_secs(10);
    let second = tokio::spawn(second.within(patience));
    tokio::time::advance(Duration::from_secs(8)).await;
    consumer.settler().settle(one.id, Ack::Accepted).unwrap();
    assert_eq!(first.await, Ack::Accepted);
    tokio::time::advance(Duration::from_secs(8)).await;
    assert!(
        !second.is_finished(),
        "eight seconds after the last answer there is patience left"
    );
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(second.await.unwrap(), Ack::Abandoned);
    consumer.settler().settle(two.id, Ack::Accepted).unwrap();
}

#[tokio::test]
async fn patience_may_be_without_end() {
    let (deliveries, mut consumer) = pair(1);
    let pending = deliveries.deliver(message("1")).await.unwrap();
    let answer = pending.within(Duration::MAX);
    tokio::pin!(answer);
    assert!(futures::poll!(&mut answer).is_pending());
    let id = consumer.next().await.unwrap().id;
    consumer.settler().settle(id, Ack::Accepted).unwrap();
    assert_eq!(answer.await, Ack::Accepted);
}

proptest! {
    /// Whatever the order of answers, each reaches its own message, and the rest is abandoned.
    #[test]
    fn every_message_gets_one_answer(answers in proptest::collection::vec(proptest::option::of(any::<bool>()), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (deliveries, mut consumer) = pair(64);
            let mut pending = Vec::new();
            for _ in &answers {
                pending.push(deliveries.deliver(message("m")).await.unwrap());
            }
            let mut ids = Vec::new();
            for _ in &answers {
                ids.push(consumer.next().await.unwrap().id);
            }
            for (id, answer) in ids.iter().zip(&answers).rev() {
                match answer {
                    Some(true) => consumer.settler().settle(*id, Ack::Accepted).unwrap(),
                    Some(false) => consumer.settler().settle(*id, Ack::Rejected(id.to_string())).unwrap(),
                    None => {}
                }
            }
            drop(consumer);
            for ((pending, id), answer) in pending.into_iter().zip(ids).zip(&answers) {
                let expected = match answer {
                    Some(true) => Ack::Accepted,
                    Some(false) => Ack::Rejected(id.to_string()),
                    None => Ack::Abandoned,
                };
                assert_eq!(pending.await, expected);
            }
        });
    }
}

#[tokio::test]
async fn a_window_held_back_lets_nothing_in_and_its_messages_on() {
    let (deliveries, mut consumer) = pair(2);
    let before = deliveries.deliver(message("1")).await.unwrap();
    deliveries.hold_back();
    let after = deliveries.deliver(message("2"));
    tokio::pin!(after);
    assert!(futures::poll!(&mut after).is_pending());

    let id = consumer.next().await.unwrap().id;
    consumer.settler().settle(id, Ack::Accepted).unwrap();
    assert_eq!(before.await, Ack::Accepted);
    assert!(futures::poll!(&mut after).is_pending());
    consumer.close();
    assert_eq!(after.await.unwrap_err(), Closed);
}
