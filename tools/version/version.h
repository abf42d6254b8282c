#pragma once

#include <string_view>

namespace brood {

// "0.1.0 (commit 58d1aa5c02e1, opt, gcc 12.2.0)": version, commit, build. The commit is "unknown" when the build was not
// made in a git clone, and ends in "-modified" when tracked files differed from it.
std::string_view VersionString();

}  // namespace brood
