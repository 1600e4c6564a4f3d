// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * What a translated program finds at TC ingress in place of what XDP gave it. The translator links
 * into a program's module what the program needs of this.
 */
#include "helpers.h"
#include "main.h"
#include "resize.h"
