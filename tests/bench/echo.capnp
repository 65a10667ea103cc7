# What the Cap'n Proto peer's client asks of its server.
@0xd2a7c61f0b5e4938;

interface Echo {
  call @0 (request :Data) -> (reply :Data);
}
