#include "ipc/address.h"

namespace brood {

Address Address::Local() { return Pipe(); }

}  // namespace brood
