// A process to be made, as a packet to the broker.
#ifndef PARLEY_KERNEL_SIM_HOST_SPAWN_H_
#define PARLEY_KERNEL_SIM_HOST_SPAWN_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernel-sim/host/packet.h"
#include "kernel-sim/kernel.h"

namespace parley::host {

// Of program, name and arguments, so that name and arguments fit into Joined.
inline constexpr size_t kMaxSpawnTailBytes = kMaxPacketBytes - 4096;

// kInvalidArgument: they are no program, name and arguments, or are too long for the broker.
absl::Status CheckSpawnStrings(const std::vector<std::string>& strings);

// A Spawn with its tail. kInvalidArgument: what CheckSpawnStrings says, or a zero byte in one of
// them. The rest of the options is for the broker to refuse.
absl::StatusOr<Packet> MakeSpawn(std::string_view program, const ProcessOptions& options,
                                 bool name_server = false);

}  // namespace parley::host

#endif  // PARLEY_KERNEL_SIM_HOST_SPAWN_H_
