//! Records on their way to the writer thread: bounded in bytes, taken in groups.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{AppendError, Position, locked};

/// Bytes that may wait for the writer; a larger record waits alone.
const QUEUE_BYTES: usize = 32 << 20;
/// The queue's room is counted in units of that many bytes, and each record takes one more than it fills: this bounds
/// the number of small records too.
const UNIT: usize = 1 << 10;

/// A record waiting for the disk.
pub(super) struct Pending {
    /// Unsealed.
    pub frame: Vec<u8>,
    pub answer: oneshot::Sender<Result<Position, AppendError>>,
    /// Room in the queue, held until the record is durable or has failed.
    pub room: OwnedSemaphorePermit,
}

/// What the writer has to do.
pub(super) enum Taken {
    Group(Vec<Pending>),
    /// Nothing came within its patience.
    Idle,
    /// The queue was closed and is empty.
    Closed,
}

pub(super) struct Queue {
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    changed: Condvar,
    group_bytes: usize,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Pending>,
    /// Bytes of the records above and of the group that is being written.
    bytes: u64,
    closed: bool,
}

impl Queue {
    pub(super) fn new(group_bytes: usize) -> Queue {
        let room = Arc::new(Semaphore::new(QUEUE_BYTES / UNIT));
        Queue { room, waiting: Mutex::default(), changed: Condvar::new(), group_bytes }
    }

    /// Waits for room for a frame of that many bytes.
    pub(super) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, AppendError> {
        let units = (bytes / UNIT + 1).min(QUEUE_BYTES / UNIT) as u32;
        self.room.clone().acquire_many_owned(units).await.map_err(|_| AppendError::Closed)
    }

    /// Queues a record, unless it, what waits already and the `needed` bytes of the segments exceed `most`.
    pub(super) fn push(&self, record: Pending, needed: u64, most: u64) -> Result<(), AppendError> {
        let mut waiting = locked(&self.waiting);
        let bytes = waiting.bytes + record.frame.len() as u64;
        if waiting.closed {
            return Err(AppendError::Closed);
        }
        if needed + bytes > most {
            return Err(AppendError::Full { bytes: needed + waiting.bytes });
        }
        waiting.bytes = bytes;
        waiting.records.push_back(record);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for records and takes what is there, up to the size of a group but at least one. Nothing is gathered for
    /// its own sake: while one group is written and synced, the next one comes together.
    pub(super) fn take_group(&self, patience: Option<Duration>) -> Taken {
        let waiting = locked(&self.waiting);
        let idle = |waiting: &mut Waiting| waiting.records.is_empty() && !waiting.closed;
        let mut waiting = match patience {
            None => self.changed.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.changed.wait_timeout_while(waiting, patience, idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(next) = waiting.records.front() {
            bytes += next.frame.len();
            if bytes > self.group_bytes && !group.is_empty() {
                break;
            }
            group.extend(waiting.records.pop_front());
        }
        match group.is_empty() {
            false => Taken::Group(group),
            true if waiting.closed => Taken::Closed,
            true => Taken::Idle,
        }
    }

    /// That many bytes of a taken group are in the segments now, or have failed.
    pub(super) fn done(&self, bytes: u64) {
        let mut waiting = locked(&self.waiting);
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
    }

    /// Takes no more records; those that wait are still written.
    pub(super) fn close(&self) {
        self.room.close();
        locked(&self.waiting).closed = true;
        self.changed.notify_all();
    }

    /// Closes and fails what waits: nobody will write it.
    pub(super) fn abandon(&self) {
        self.close();
        locked(&self.waiting).records.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &Queue, bytes: usize, most: u64) -> Result<(), AppendError> {
        let room = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        queue.push(Pending { frame: vec![0; bytes], answer: oneshot::channel().0, room }, 0, most)
    }

    fn group(queue: &Queue) -> Option<Vec<usize>> {
        match queue.take_group(None) {
            Taken::Group(group) => Some(group.iter().map(|record| record.frame.len()).collect()),
            Taken::Idle | Taken::Closed => None,
        }
    }

    #[test]
    fn groups_are_bounded_and_in_order() {
        let queue = Queue::new(100);
        for bytes in [40, 50, 30, 300, 7] {
            push(&queue, bytes, 1000).unwrap();
        }
        queue.close();
        assert!(matches!(push(&queue, 1, 1000), Err(AppendError::Closed)));
        assert_eq!([group(&queue), group(&queue)], [Some(vec![40, 50]), Some(vec![30])]);
        assert_eq!([group(&queue), group(&queue), group(&queue)], [Some(vec![300]), Some(vec![7]), None]);
    }

    #[test]
    fn what_is_being_written_counts_until_it_is_done() {
        let queue = Queue::new(100);
        push(&queue, 60, 100).unwrap();
        assert_eq!(group(&queue), Some(vec![60]));
        assert!(matches!(push(&queue, 60, 100), Err(AppendError::Full { bytes: 60 })));
        queue.done(60);
        push(&queue, 60, 100).unwrap();
    }

    #[test]
    fn a_writer_without_work_gets_its_turn() {
        let queue = Queue::new(100);
        assert!(matches!(queue.take_group(Some(Duration::from_millis(1))), Taken::Idle));
        queue.close();
        assert!(matches!(queue.take_group(Some(Duration::from_secs(60))), Taken::Closed));
    }

    #[tokio::test]
    async fn room_is_bounded_in_bytes_and_in_records() {
        let queue = Queue::new(100);
        let mut held = Vec::new();
        while let Ok(permit) = queue.room.clone().try_acquire_owned() {
            held.push(permit);
        }
        assert_eq!(held.len(), QUEUE_BYTES / UNIT);
        held.clear();
        let whole = queue.room(usize::MAX / 2).await.unwrap();
        assert_eq!(queue.room.available_permits(), 0);
        drop(whole);
        queue.close();
        assert!(matches!(queue.room(1).await, Err(AppendError::Closed)));
    }
}
