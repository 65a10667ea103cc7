// The client's side of the file protocol: operations in one message, and their results.
#ifndef PARLEY_LIBIPC_SRC_FILE_EXCHANGE_H_
#define PARLEY_LIBIPC_SRC_FILE_EXCHANGE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "ipc/connection.h"
#include "ipc/file_protocol.h"
#include "ipc/process.h"

namespace ipc {

// One operation: what goes out behind it, where what comes back goes, and what did.
struct FileExchange {
  files::Operation operation;
  ConstBytes payload = {};
  MutableBytes room = {};  // of the last that has any, since what comes is packed
  files::Result result = {};
  uint64_t payload_bytes = 0;  // of `room` that are used
};

// Does them in order, files::kMaxOperations at most; the error of the first that failed, with the
// connection's name in it. What the server says is checked: it may be anybody's. A wait that the
// server has let go of because the deadline has passed says so.
absl::Status Exchange(const Process& self, const Connection& connection,
                      absl::Span<FileExchange> exchanges, CallOptions options = {});

// The same without FileExchanges: `operations` with the payloads behind them, `results` for as
// many, and where their payloads go, packed.
struct FileParts {
  absl::Span<const files::Operation> operations;
  absl::Span<const ConstBytes> payloads = {};
  absl::Span<files::Result> results;
  absl::Span<const MutableBytes> rooms = {};
};
// How many bytes of payload have come.
absl::StatusOr<uint64_t> Exchange(const Process& self, const Connection& connection,
                                  const FileParts& parts, CallOptions options);

// The same point in time for several calls: a duration counts from here on.
Deadline Fixed(const Process& self, const Deadline& deadline);

// Without empty, "." and ".." parts, by text alone; with the "/" behind it that asks for a
// directory. (That ".." after a symbolic link leads elsewhere is the server's to know: it is asked
// for what is written here.)
std::string NormalizedPath(absl::string_view path);

}  // namespace ipc

#endif  // PARLEY_LIBIPC_SRC_FILE_EXCHANGE_H_
