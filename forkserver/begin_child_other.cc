#include "forkserver/keeper_child.h"

extern "C" int brood_begin_child(void* mailbox) { return brood::child::BeginChild(mailbox); }
