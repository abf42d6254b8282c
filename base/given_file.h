// Opens a file that the caller named, where children may have been before.
#ifndef BROOD_BASE_GIVEN_FILE_H_
#define BROOD_BASE_GIVEN_FILE_H_

#include <string>

#include "base/unique_fd.h"
#include "base/untrusted_directories.h"

namespace brood {

// As open(2), with O_CLOEXEC; invalid with errno. A child may write to the `writable` directories: in them no link is followed (ELOOP), since a child may have put it there, or put it there now. The way to them is
// the caller's, links included, and so is that out of them by "..".
UniqueFd OpenGivenFile(const UntrustedDirectories& writable, const std::string& path, int flags);

}  // namespace brood

#endif  // BROOD_BASE_GIVEN_FILE_H_
