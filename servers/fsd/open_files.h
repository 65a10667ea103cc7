// The files that clients hold open, each under a number that only its client can use.
#ifndef PARLEY_SERVERS_FSD_OPEN_FILES_H_
#define PARLEY_SERVERS_FSD_OPEN_FILES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "servers/fsd/export.h"

namespace fsd {

// A file stays open while a read of it is under way, whatever its client does: reads share it.
class OpenFiles {
 public:
  using Client = uint64_t;

  // kResourceExhausted: the client holds kMaxOpenFiles already.
  absl::StatusOr<uint32_t> Add(Client client, File file);
  // kNotFound: not a number of this client's.
  absl::StatusOr<std::shared_ptr<const File>> Find(Client client, uint32_t number) const;
  absl::Status Remove(Client client, uint32_t number);
  void RemoveAll(Client client);

 private:
  std::map<std::pair<Client, uint32_t>, std::shared_ptr<const File>> files_;
  uint32_t next_number_ = 1;
};

}  // namespace fsd

#endif  // PARLEY_SERVERS_FSD_OPEN_FILES_H_
