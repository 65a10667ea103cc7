// Output files: temporary name, then rename.
#include "apps/parley/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace parley_tool {
namespace {

absl::Status Failed(const std::string& path, int error) {
  return absl::UnavailableError(
      absl::StrCat(path, ": cannot be written: ", std::strerror(error), "; nothing was left"));
}

}  // namespace

absl::StatusOr<OutputFile> OutputFile::Create(const std::string& path) {
  std::error_code unknown;  // to std::filesystem, it is as if nothing were there
  const std::filesystem::file_status there = std::filesystem::status(path, unknown);
  const bool in_place = std::filesystem::exists(there) && !std::filesystem::is_regular_file(there);
  std::string temporary = in_place ? "" : absl::StrCat(path, ".", getpid(), ".tmp");
  std::FILE* file = std::fopen(in_place ? path.c_str() : temporary.c_str(), "w");
  if (file == nullptr) return Failed(path, errno);
  return OutputFile(path, std::move(temporary), file);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      file_(std::exchange(other.file_, nullptr)),
      error_(other.error_) {}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  RemoveTemporary();
}

void OutputFile::RemoveTemporary() const {
  if (!temporary_.empty()) std::remove(temporary_.c_str());
}

void OutputFile::Write(absl::string_view text) {
  if (error_ == 0 && std::fwrite(text.data(), 1, text.size(), file_) != text.size()) error_ = errno;
}

absl::Status OutputFile::Commit() {
  if (std::fflush(file_) != 0 && error_ == 0) error_ = errno;
  if (std::fclose(std::exchange(file_, nullptr)) != 0 && error_ == 0) error_ = errno;
  const bool rename = error_ == 0 && !temporary_.empty();
  if (rename && std::rename(temporary_.c_str(), path_.c_str()) != 0) error_ = errno;
  if (error_ == 0) return absl::OkStatus();
  RemoveTemporary();
  return Failed(path_, error_);
}

}  // namespace parley_tool
