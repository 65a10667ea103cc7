// Tokens, and references to processes: the two values that name kernel objects outside a handle.
#ifndef PARLEY_LIBIPC_INCLUDE_IPC_TOKEN_H_
#define PARLEY_LIBIPC_INCLUDE_IPC_TOKEN_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace ipc {

// R3: 128 unguessable bits that name one capability for one holder. Plain data: it may travel in
// any message, file or log, and is worthless in every process but the holder's.
struct Token {
  uint64_t high = 0;
  uint64_t low = 0;

  bool is_null() const { return high == 0 && low == 0; }  // names nothing
  std::string ToString() const;                           // 32 hexadecimal digits
  // kInvalidArgument: not 32 hexadecimal digits.
  static absl::StatusOr<Token> Parse(absl::string_view text);

  friend bool operator==(const Token&, const Token&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const Token& token) {
    return H::combine(std::move(state), token.high, token.low);
  }
};

// A process, to grant something to. A value that names it and gives no power over it. From
// Connection::server(), MessageInfo::sender, Child::process() and Process::me().
class ProcessRef {
 public:
  ProcessRef() = default;  // nobody
  explicit ProcessRef(uint32_t id) : id_(id) {}
  uint32_t id() const { return id_; }  // for printing: unique on a kernel for all time
  friend bool operator==(const ProcessRef&, const ProcessRef&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const ProcessRef& process) {
    return H::combine(std::move(state), process.id_);
  }

 private:
  uint32_t id_ = 0;
};

}  // namespace ipc

#endif  // PARLEY_LIBIPC_INCLUDE_IPC_TOKEN_H_
