//! Status codes of the client protocol, and the error that carries one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a reply's `code` says. The numbers are the protocol's and must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// No error.
    Ok = 0,
    /// The request makes no sense, or not now.
    Invalid = 1,
    /// A key is not there.
    KeyError = 2,
    /// A value has another type.
    TypeError = 3,
    /// The machine or its network failed, or an answer did not come in time.
    IoError = 4,
    /// There is no more to read.
    EndOfFile = 5,
    /// This node does not serve the verb.
    NotImplemented = 6,
    /// What the request assumes does not hold.
    AssertionFailed = 7,
    /// What a person gave is wrong.
    UserInputError = 8,
    /// There is one already.
    ObjectExists = 11,
    /// There is no such object, blob or name.
    ObjectNotExists = 12,
    /// The blob is sealed and cannot change.
    ObjectSealed = 13,
    /// The blob is still being filled.
    ObjectNotSealed = 14,
    /// A blob cannot do that.
    ObjectIsBlob = 15,
    /// The object has another type.
    ObjectTypeError = 16,
    /// The bytes are on disk.
    ObjectSpilled = 17,
    /// The bytes are not on disk.
    ObjectNotSpilled = 18,
    /// The metadata is not a tree.
    MetaTreeInvalid = 21,
    /// The type name is none.
    MetaTreeTypeInvalid = 22,
    /// The metadata has no type name.
    MetaTreeTypeNotExists = 23,
    /// The name is none.
    MetaTreeNameInvalid = 24,
    /// There is no such name in the metadata.
    MetaTreeNameNotExists = 25,
    /// A link to a member is none.
    MetaTreeLinkInvalid = 26,
    /// There is no such object in the metadata.
    MetaTreeSubtreeNotExists = 27,
    /// The node is busy, starting or stopping.
    VineyardServerNotReady = 31,
    /// Arrow refused.
    ArrowError = 32,
    /// A connection could not be made.
    ConnectionFailed = 33,
    /// The connection is broken, or not allowed.
    ConnectionError = 34,
    /// Of the released server's etcd.
    EtcdError = 35,
    /// It has stopped.
    AlreadyStopped = 36,
    /// Of the released server's Redis.
    RedisError = 37,
    /// The node's memory is full.
    NotEnoughMemory = 41,
    /// The stream has ended.
    StreamDrained = 42,
    /// The stream was aborted.
    StreamFailed = 43,
    /// The stream cannot do that now.
    InvalidStreamState = 44,
    /// Another reader or writer has the stream.
    StreamOpened = 45,
    /// The global object lacks members.
    GlobalObjectInvalid = 51,
    /// Anything else.
    UnknownError = 255,
}

impl Code {
    const ALL: [Self; 38] = [
        Self::Ok,
        Self::Invalid,
        Self::KeyError,
        Self::TypeError,
        Self::IoError,
        Self::EndOfFile,
        Self::NotImplemented,
        Self::AssertionFailed,
        Self::UserInputError,
        Self::ObjectExists,
        Self::ObjectNotExists,
        Self::ObjectSealed,
        Self::ObjectNotSealed,
        Self::ObjectIsBlob,
        Self::ObjectTypeError,
        Self::ObjectSpilled,
        Self::ObjectNotSpilled,
        Self::MetaTreeInvalid,
        Self::MetaTreeTypeInvalid,
        Self::MetaTreeTypeNotExists,
        Self::MetaTreeNameInvalid,
        Self::MetaTreeNameNotExists,
        Self::MetaTreeLinkInvalid,
        Self::MetaTreeSubtreeNotExists,
        Self::VineyardServerNotReady,
        Self::ArrowError,
        Self::ConnectionFailed,
        Self::ConnectionError,
        Self::EtcdError,
        Self::AlreadyStopped,
        Self::RedisError,
        Self::NotEnoughMemory,
        Self::StreamDrained,
        Self::StreamFailed,
        Self::InvalidStreamState,
        Self::StreamOpened,
        Self::GlobalObjectInvalid,
        Self::UnknownError,
    ];

    /// The code numbered `number`; an unknown number is `UnknownError`.
    pub fn from_number(number: u64) -> Self {
        let known = Self::ALL.into_iter().find(|code| *code as u64 == number);
        known.unwrap_or(Self::UnknownError)
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(|number| Self::from_number(u64::from(number)))
    }
}

/// A refusal as it travels: `{"code": …, "message": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {message}")]
pub struct Status {
    /// What kind of error.
    pub code: Code,
    /// For people.
    pub message: String,
}

/// How the messages begin that say so.
const LATE: &str = "no answer within";
const LOST: &str = "the bytes of";

impl Status {
    /// A status that says `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A status of code `Invalid`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    /// A status for an answer that did not come in time: what it waited for, and how long.
    pub fn deadline(waited_for: &str, after: Duration) -> Self {
        let ms = after.as_millis();
        Self::new(
            Code::IoError,
            format!("{LATE} {ms} ms; was waiting for {waited_for}"),
        )
    }

    /// Whether it says that an answer did not come in time. The protocol has no code of its own for that.
    pub fn is_deadline(code: Code, message: &str) -> bool {
        code == Code::IoError && message.starts_with(LATE)
    }

    /// A status for the bytes of an object that is known: `which` they are, and what became of them.
    pub fn lost(which: &str, fate: &str) -> Self {
        Self::not_exists(format!("{LOST} {which} {fate}"))
    }

    /// Whether it says that bytes of an object that is known are gone.
    pub fn is_lost(code: Code, message: &str) -> bool {
        code == Code::ObjectNotExists && message.starts_with(LOST)
    }

    /// A status of code `ObjectNotExists`.
    pub fn not_exists(message: impl Into<String>) -> Self {
        Self::new(Code::ObjectNotExists, message)
    }
}
