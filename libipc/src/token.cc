// Tokens as text.
#include "ipc/token.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernel-sim/core/errors.h"

namespace ipc {

std::string Token::ToString() const { return absl::StrFormat("%016x%016x", high, low); }

absl::StatusOr<Token> Token::Parse(absl::string_view text) {
  Token token;
  const bool digits = text.find_first_not_of("0123456789abcdefABCDEF") == absl::string_view::npos;
  if (text.size() != 32 || !digits || !absl::SimpleHexAtoi(text.substr(0, 16), &token.high) ||
      !absl::SimpleHexAtoi(text.substr(16), &token.low)) {
    return parley::MakeError(parley::Error::kInvalidArgument,
                             absl::StrCat("'", text, "' is no token: 32 hexadecimal digits"));
  }
  return token;
}

}  // namespace ipc
