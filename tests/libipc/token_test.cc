// Tokens as text (R3).
#include "ipc/token.h"

#include <doctest/doctest.h>

#include "ipc/error.h"

namespace {

using ipc::Token;

TEST_CASE("a token comes back from its own text") {
  for (const Token& token : {Token{}, Token{1, 2}, Token{~uint64_t{0}, 0}, Token{0, ~uint64_t{0}},
                             Token{0x0123456789abcdef, 0xfedcba9876543210}}) {
    const std::string text = token.ToString();
    CHECK(text.size() == 32);
    CHECK(Token::Parse(text).value() == token);
  }
  CHECK(Token{1, 2}.ToString() == "00000000000000010000000000000002");
  CHECK(Token::Parse("0000000000000001000000000000000A").value() == Token{1, 10});
}

TEST_CASE("a text that is not 32 hexadecimal digits is no token") {
  const std::string digits(32, '1');
  for (const std::string& text :
       {std::string(), digits.substr(1), digits + "1", " " + digits.substr(1),
        digits.substr(1) + "g", "0x" + digits.substr(2), "-" + digits.substr(1),
        digits.substr(1) + std::string(1, '\0')}) {
    CHECK_MESSAGE(ipc::ErrorOf(Token::Parse(text).status()) == ipc::Error::kInvalidArgument, text);
  }
}

}  // namespace
