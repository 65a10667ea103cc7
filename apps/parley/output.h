// Output files that are whole or not there.
#ifndef PARLEY_APPS_PARLEY_OUTPUT_H_
#define PARLEY_APPS_PARLEY_OUTPUT_H_

#include <cstdio>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace parley_tool {

// A file under a temporary name beside its own, until Commit gives it its own. Dropped uncommitted,
// it is removed. What is there already and no regular file (a device, a pipe) is written in place.
class OutputFile {
 public:
  // The error says the path and why.
  static absl::StatusOr<OutputFile> Create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  ~OutputFile();

  void Write(absl::string_view text);  // an error is kept for Commit
  absl::Status Commit();               // a full disk shows here: nothing is left then

 private:
  OutputFile(std::string path, std::string temporary, std::FILE* file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(file) {}
  void RemoveTemporary() const;

  std::string path_;
  std::string temporary_;  // empty: written in place
  std::FILE* file_;
  int error_ = 0;
};

}  // namespace parley_tool

#endif  // PARLEY_APPS_PARLEY_OUTPUT_H_
