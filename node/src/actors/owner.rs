//! An actor that owns one value. Callers send it operations on the value and get the results back.
//!
//! The mailbox is bounded: every ask waits for its turn and every tell for a place, so too many of them slow their
//! senders down and take no more memory.

use actix::prelude::SendError;
use actix::{Actor, Addr, Context, Handler, Message};
use vineyard_wire::{Code, Status};

/// Owns a `T` until the node stops.
pub(crate) struct Owner<T: 'static> {
    value: T,
    mailbox: usize,
}

impl<T: Unpin + 'static> Actor for Owner<T> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(self.mailbox);
    }
}

/// One operation on the value: a turn of the owner.
struct Op<T, R>(Box<dyn FnOnce(&mut T) -> R + Send>);

impl<T: 'static, R: Send + 'static> Message for Op<T, R> {
    type Result = Returned<R>;
}

/// A plain value as an actor's answer.
struct Returned<R>(R);

impl<A, M, R: Send + 'static> actix::dev::MessageResponse<A, M> for Returned<R>
where
    A: Actor,
    M: Message<Result = Self>,
{
    fn handle(self, _: &mut A::Context, reply: Option<actix::dev::OneshotSender<Self>>) {
        if let Some(reply) = reply {
            // The caller may have been dropped, and the answer with it.
            drop(reply.send(self));
        }
    }
}

impl<T: Unpin + 'static, R: Send + 'static> Handler<Op<T, R>> for Owner<T> {
    type Result = Returned<R>;

    fn handle(&mut self, op: Op<T, R>, _: &mut Self::Context) -> Returned<R> {
        Returned((op.0)(&mut self.value))
    }
}

/// The address of an `Owner`.
pub(crate) struct Handle<T: Unpin + 'static> {
    address: Addr<Owner<T>>,
    name: &'static str,
}

impl<T: Unpin + 'static> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Self {
            address: self.address.clone(),
            name: self.name,
        }
    }
}

impl<T: Unpin + 'static> Handle<T> {
    /// Starts the actor `name` with a mailbox of `mailbox` messages.
    pub(crate) fn start(name: &'static str, mailbox: usize, value: T) -> Self {
        Self {
            address: Owner { value, mailbox }.start(),
            name,
        }
    }

    /// Runs `turn` with the value and returns its result.
    pub(crate) async fn ask<R: Send + 'static>(
        &self,
        turn: impl FnOnce(&mut T) -> R + Send + 'static,
    ) -> Result<R, Status> {
        match self.address.send(Op(Box::new(turn))).await {
            Ok(Returned(result)) => Ok(result),
            Err(_) => Err(self.stopped()),
        }
    }

    /// As `ask`, but returns when `turn` has a place in the mailbox: what is asked later has its turn later.
    pub(crate) async fn tell(
        &self,
        turn: impl FnOnce(&mut T) + Send + 'static,
    ) -> Result<(), Status> {
        match self.address.try_send(Op(Box::new(turn))) {
            Ok(()) => Ok(()),
            Err(SendError::Full(op)) => match self.address.send(op).await {
                Ok(Returned(())) => Ok(()),
                Err(_) => Err(self.stopped()),
            },
            Err(SendError::Closed(_)) => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> Status {
        Status::new(
            Code::VineyardServerNotReady,
            format!("the {} actor of this node has stopped", self.name),
        )
    }
}
