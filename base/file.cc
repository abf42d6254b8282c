// What is the same everywhere.
#include "base/file.h"

#include "base/status.h"

namespace brood {

absl::Status WriteAll(int file, std::string_view name, std::string_view text) {
  while (!text.empty()) {
    BROOD_ASSIGN_OR_RETURN(const size_t count, WriteSome(file, text, name));
    text.remove_prefix(count);
  }
  return absl::OkStatus();
}

}  // namespace brood
