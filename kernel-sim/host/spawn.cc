// How a process to be made travels.
#include "kernel-sim/host/spawn.h"

#include "absl/strings/str_cat.h"
#include "kernel-sim/core/errors.h"

namespace parley::host {

absl::Status CheckSpawnStrings(const std::vector<std::string>& strings) {
  size_t bytes = 0;
  for (const std::string& string : strings) bytes += string.size() + 1;
  if (strings.size() < 2 || bytes > kMaxSpawnTailBytes) {
    return MakeError(Error::kInvalidArgument,
                     absl::StrCat("a process needs a program, a name, and arguments of at most ",
                                  kMaxSpawnTailBytes, " bytes"));
  }
  if (strings[1].size() > kMaxNameBytes) {
    return MakeError(Error::kInvalidArgument, "a process's name is too long");
  }
  return absl::OkStatus();
}

absl::StatusOr<Packet> MakeSpawn(std::string_view program, const ProcessOptions& options,
                                 bool name_server) {
  std::vector<std::string> strings = {std::string(program), options.name};
  strings.insert(strings.end(), options.arguments.begin(), options.arguments.end());
  if (absl::Status valid = CheckSpawnStrings(strings); !valid.ok()) return valid;
  for (const std::string& string : strings) {
    if (string.find('\0') != std::string::npos) {
      return MakeError(Error::kInvalidArgument, "a zero byte in a process's name or arguments");
    }
  }
  Spawn spawn = {};
  spawn.scheduling = ToWire(options.scheduling);
  spawn.ceiling = options.ceiling;
  spawn.has_uid = options.uid.has_value() ? 1 : 0;
  spawn.uid = options.uid.value_or(0);
  spawn.has_gid = options.gid.has_value() ? 1 : 0;
  spawn.gid = options.gid.value_or(0);
  spawn.name_server = name_server ? 1 : 0;
  spawn.region_quota_bytes = options.region_quota_bytes;
  return Packet::Of(0, spawn, JoinTail(strings));
}

}  // namespace parley::host
