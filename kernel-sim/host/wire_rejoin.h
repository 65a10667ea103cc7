// What is said after a broker's restart: a launcher tells the next one of its processes, and each
// of them shows its ledger (ledger.h) and says what it has itself. As wire.h.
#ifndef PARLEY_KERNEL_SIM_HOST_WIRE_REJOIN_H_
#define PARLEY_KERNEL_SIM_HOST_WIRE_REJOIN_H_

#include <cstdint>

#include "kernel-sim/host/wire.h"

namespace parley::host {

struct Adopt {  // call of the launcher: what Launch has said, and what came of it; tail: of
                // `launch.spawn` -> Done
  static constexpr Kind kKind = Kind::kAdopt;
  Launch launch;
  uint32_t pid;  // 0: it has ended, and Exited follows
  uint32_t reserved;
};
struct Rejoin {  // instead of Join; descriptors: the process page, the grant page, the ledger
  static constexpr Kind kKind = Kind::kRejoin;
  uint32_t version;
  ProcessId process;
};
enum class ClaimOf : uint32_t {
  kChannel,      // number: its id
  kBell,         // number; descriptors: memory, knocker
  kLink,         // as a client: number: the connection, first_bit
  kServedLink,   // as its server: the same
  kServedEvent,  // number: the event's, first_bit; descriptor: the link
  kRegion,      // number: its capability, as its owner; descriptors: memory, and with `renewed` the
                // memory that is to replace it
  kGrant,       // number: a capability that was redeemed
  kServedLend,  // number: the connection, lend
};
struct Claim {
  uint64_t number;
  ClaimOf of;
  union {
    uint32_t first_bit, renewed, lend;
  };
};
struct Claims {  // tail: Claim, one after the other; descriptors in their order -> to the last:
                 // Done, when all have rejoined
  static constexpr Kind kKind = Kind::kClaims;
  uint32_t last;
};

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_WIRE_REJOIN_H_
