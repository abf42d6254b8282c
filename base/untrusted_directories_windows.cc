#include "base/untrusted_directories.h"

namespace brood {

bool UntrustedDirectories::Add(const std::string&) { return false; }
bool UntrustedDirectories::Contain(std::string_view) const { return false; }
bool UntrustedDirectories::Include(uint64_t, uint64_t) const { return false; }

}  // namespace brood
