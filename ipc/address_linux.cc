#include "ipc/address.h"

namespace brood {

Address Address::Local() { return Abstract(); }

}  // namespace brood
