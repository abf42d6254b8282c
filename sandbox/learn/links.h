// Where a path leads besides itself.
#ifndef BROOD_SANDBOX_LEARN_LINKS_H_
#define BROOD_SANDBOX_LEARN_LINKS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace brood {

// The paths that a lookup of `path` comes to by symbolic links that are there inside, too: those within a directory that is
// shown as a whole, of which `is_shown` tells. "/usr/bin/java" gives "/etc/alternatives/java" and what that leads to. A file that
// is shown by itself is mounted at its own path, and no link of its path is needed. As the file system is now; all absolute.
std::vector<std::string> LinkTargets(std::string_view path, const std::function<bool(std::string_view)>& is_shown);

}  // namespace brood

#endif  // BROOD_SANDBOX_LEARN_LINKS_H_
