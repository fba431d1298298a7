use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn queue(length: usize) -> Arc<Queue<u64>> {
    Arc::new(Queue::new(length))
}

fn push(queue: &Queue<u64>, item: u64) -> bool {
    let slot = queue.try_reserve();
    slot.map(|slot| queue.push(slot, item, None)).is_some()
}

#[derive(Clone, Debug)]
enum Step {
    Push,
    Take,
    Accept(usize),
    Reject(usize),
    GiveBack(usize),
    Wait(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push),
        4 => Just(Step::Take),
        1 => any::<usize>().prop_map(Step::Accept),
        2 => any::<usize>().prop_map(Step::Reject),
        1 => any::<usize>().prop_map(Step::GiveBack),
        1 => (1..8_u8).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The same in the simplest way: for each unsettled item when it is to be had, or `None` while it is taken, and how often
/// it was rejected.
type Model = BTreeMap<u64, (Option<u64>, u32)>;

const MODEL_LENGTH: usize = 6;

async fn follows_the_model(steps: Vec<Step>) {
    let queue = queue(MODEL_LENGTH);
    let reader = queue.reader();
    let (mut model, mut leases) = (Model::new(), Vec::new());
    let (mut next, mut now) = (0, 0);
    for step in steps {
        let picked = match &step {
            Step::Accept(pick) | Step::Reject(pick) | Step::GiveBack(pick)
                if !leases.is_empty() =>
            {
                Some(leases.remove(pick % leases.len()))
            }
            _ => None,
        };
        match (&step, picked) {
            (Step::Push, _) => {
                let has_room = model.len() < MODEL_LENGTH;
                assert_eq!(push(&queue, next), has_room);
                if has_room {
                    model.insert(next, (Some(now), 0));
                }
                next += 1;
            }
            (Step::Take, _) => {
                let due =
                    |(_, (at, _)): &(&u64, &(Option<u64>, u32))| at.is_some_and(|at| at <= now);
                let expected = model.iter().find(due).map(|(item, _)| *item);
                match tokio::time::timeout(Duration::ZERO, reader.next()).await {
                    Ok((item, lease)) => {
                        assert_eq!(Some(item), expected);
                        model.get_mut(&item).unwrap().0 = None;
                        leases.push((item, lease));
                    }
                    Err(_) => assert_eq!(None, expected),
                }
            }
            (Step::Accept(_), Some((item, lease))) => {
                lease.accept();
                model.remove(&item);
            }
            (Step::Reject(_), Some((item, lease))) => {
                lease.reject(SECOND);
                let (at, rejections) = model.get_mut(&item).unwrap();
                *at = Some(now + 2_u64.pow(*rejections).min(60));
                *rejections += 1;
            }
            (Step::GiveBack(_), Some((item, lease))) => {
                drop(lease);
                model.get_mut(&item).unwrap().0 = Some(now);
            }
            (Step::Wait(seconds), _) => {
                tokio::time::advance(SECOND * u32::from(*seconds)).await;
                now += u64::from(*seconds);
            }
            _ => {}
        }
    }
}

proptest! {
    #[test]
    fn items_come_in_order_until_they_are_settled(steps in steps()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(follows_the_model(steps));
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_of_a_push_a_return_and_the_end_of_a_wait() {
    let queue = queue(2);
    let (one, other) = (queue.reader(), queue.reader());
    let (taken, ()) = tokio::join!(one.next(), async {
        push(&queue, 1);
    });
    let (again, ()) = tokio::join!(other.next(), async { drop(taken) });
    let before = Instant::now();
    again.1.reject(SECOND);
    let (item, lease) = one.next().await;
    assert_eq!((item, before.elapsed().as_secs()), (1, 1));
    lease.accept();
    assert_eq!(queue.slots.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_waits_for_its_readers_or_forgets() {
    let queue = queue(2);
    let soon = || Instant::now() + SECOND;
    assert!(push(&queue, 1) && push(&queue, 2) && !push(&queue, 3));
    let slot = queue.reserve(soon()).await.unwrap();
    queue.push(slot, 3, None);

    let reader = queue.reader();
    assert!(queue.reserve(soon()).await.is_none());
    let (item, lease) = reader.next().await;
    assert_eq!(item, 2, "the oldest was forgotten while nobody read");
    let (slot, ()) = tokio::join!(queue.reserve(soon()), async { lease.accept() });
    queue.push(slot.unwrap(), 4, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_does_not_come() {
    let queue = queue(2);
    let end = Instant::now() + SECOND;
    queue.push(queue.try_reserve().unwrap(), 1, Some(end));
    push(&queue, 2);
    tokio::time::advance(SECOND).await;
    let reader = queue.reader();
    let (item, _lease) = reader.next().await;
    assert_eq!(item, 2);
    assert_eq!(queue.slots.available_permits(), 1);
}
