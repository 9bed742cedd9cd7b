//! Two processes share an array: one fills it in place, the other sums it up where it lies. No byte is copied.
//!
//! Needs a node: `vineyardd --socket /tmp/vineyard.sock`, and `VINEYARD_IPC_SOCKET=/tmp/vineyard.sock` here. The
//! example starts itself again, with the array's id, as the second process.

use std::env;
use std::error::Error;
use std::process::Command;

use vineyard_client::blocking::Client;
use vineyard_client::{ObjectId, Options};

const NUMBERS: usize = 1 << 20;
const NUMBER_BYTES: usize = size_of::<u64>();

fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::connect_default(&Options::default())?;
    match env::args().nth(1) {
        None => write(&client)?,
        Some(id) => read(&client, id.parse()?)?,
    }
    client.close();
    Ok(())
}

fn write(client: &Client) -> Result<(), Box<dyn Error>> {
    let mut writer = client.create_blob(NUMBERS * NUMBER_BYTES)?;
    let places = writer.as_mut_slice().chunks_exact_mut(NUMBER_BYTES);
    for (number, place) in (0_u64..).zip(places) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    // From here on nobody can change it.
    let array = writer.seal()?;
    let reader = Command::new(env::current_exe()?)
        .arg(array.id().to_string())
        .status()?;
    assert!(reader.success(), "the other process failed: {reader}");
    Ok(())
}

fn read(client: &Client, id: ObjectId) -> Result<(), Box<dyn Error>> {
    let array = client.get_blob(id)?;
    let numbers = array.chunks_exact(NUMBER_BYTES);
    let sum: u64 = numbers
        .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("chunks are exact")))
        .sum();
    let last = NUMBERS as u64 - 1;
    assert_eq!(sum, last * (last + 1) / 2);
    println!("{NUMBERS} numbers in {id} sum up to {sum}");
    Ok(())
}
