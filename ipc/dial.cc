#include "ipc/dial.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "ipc/authenticate.h"
#include "ipc/deadline.h"

namespace brood {

// Dial is the system's: dial_linux.cc, dial_windows.cc.
absl::StatusOr<Connection> DialAuthenticated(const Address& address, const AuthKey& key, const DialOptions& options) {
  const internal::Deadline deadline(options.timeout);
  BROOD_ASSIGN_OR_RETURN(Connection connection, Dial(address, options));
  BROOD_RETURN_IF_ERROR(
      Annotate(AuthenticateAsDialer(connection, key, deadline.Left()), absl::StrCat("dial ", address.ToString())));
  return connection;
}

}  // namespace brood
