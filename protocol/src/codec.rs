use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

/// The size that a buffer for messages begins with: most calls need no more. tonic's own is 8 KiB for every call each
/// way, of which a value that somebody keeps would keep the whole.
const BUFFER: usize = 512;
/// When what is written of a stream is sent, as in tonic.
const YIELD: usize = 32 * 1024;

/// The codec of the generated code: tonic's for protobuf, with buffers that fit.
#[derive(Debug)]
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> tonic::codec::Codec for Codec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = Fitting<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> Fitting<T> {
        Fitting(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstCodec::<T, U>::raw_decoder(BufferSettings::new(BUFFER, YIELD))
    }
}

/// Writes a message into as much room as it needs.
#[derive(Debug)]
pub(crate) struct Fitting<T>(PhantomData<T>);

impl<T: Message> Encoder for Fitting<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(message.encoded_len());
        message
            .encode(buffer)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, YIELD)
    }
}

#[cfg(test)]
mod tests;
