//! Status codes of the client protocol, and the error that carries one.

use serde::{Deserialize, Serialize};

/// What a reply's `code` says. The numbers are the protocol's and must be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Invalid = 1,
    KeyError = 2,
    TypeError = 3,
    IoError = 4,
    EndOfFile = 5,
    NotImplemented = 6,
    AssertionFailed = 7,
    UserInputError = 8,
    ObjectExists = 11,
    ObjectNotExists = 12,
    ObjectSealed = 13,
    ObjectNotSealed = 14,
    ObjectIsBlob = 15,
    ObjectTypeError = 16,
    ObjectSpilled = 17,
    ObjectNotSpilled = 18,
    MetaTreeInvalid = 21,
    MetaTreeTypeInvalid = 22,
    MetaTreeTypeNotExists = 23,
    MetaTreeNameInvalid = 24,
    MetaTreeNameNotExists = 25,
    MetaTreeLinkInvalid = 26,
    MetaTreeSubtreeNotExists = 27,
    VineyardServerNotReady = 31,
    ArrowError = 32,
    ConnectionFailed = 33,
    ConnectionError = 34,
    EtcdError = 35,
    AlreadyStopped = 36,
    RedisError = 37,
    NotEnoughMemory = 41,
    StreamDrained = 42,
    StreamFailed = 43,
    InvalidStreamState = 44,
    StreamOpened = 45,
    GlobalObjectInvalid = 51,
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
    pub code: Code,
    pub message: String,
}

impl Status {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::Invalid, message)
    }

    pub fn not_exists(message: impl Into<String>) -> Self {
        Self::new(Code::ObjectNotExists, message)
    }
}
