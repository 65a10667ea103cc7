// The table of open files. See open_files.h.
#include "servers/fsd/open_files.h"

#include <iterator>
#include <limits>

#include "absl/strings/str_cat.h"
#include "servers/fsd/protocol.h"

namespace fsd {
namespace {

absl::Status NoSuchFile(uint32_t number) {
  return absl::NotFoundError(absl::StrCat("no open file ", number, " of this client"));
}

}  // namespace

absl::StatusOr<uint32_t> OpenFiles::Add(Client client, File file) {
  const auto first = files_.lower_bound({client, 0});
  const auto last = files_.upper_bound({client, std::numeric_limits<uint32_t>::max()});
  if (static_cast<size_t>(std::distance(first, last)) >= kMaxOpenFiles) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kMaxOpenFiles, " open files of one client"));
  }
  const uint32_t number = next_number_++;
  files_.emplace(std::pair(client, number), std::make_shared<const File>(std::move(file)));
  return number;
}

absl::StatusOr<std::shared_ptr<const File>> OpenFiles::Find(Client client, uint32_t number) const {
  const auto found = files_.find({client, number});
  if (found == files_.end()) return NoSuchFile(number);
  return found->second;
}

absl::Status OpenFiles::Remove(Client client, uint32_t number) {
  return files_.erase({client, number}) == 1 ? absl::OkStatus() : NoSuchFile(number);
}

void OpenFiles::RemoveAll(Client client) {
  files_.erase(files_.lower_bound({client, 0}),
               files_.upper_bound({client, std::numeric_limits<uint32_t>::max()}));
}

}  // namespace fsd
