/**
 * The addresses of a host inside the pod network: all follow from its part of the pod CIDR.
 *
 *     10.244.1.0    base          VTEP MAC 0e:58:0a:f4:01:00
 *     10.244.1.1    gateway       the host's own, on pw0
 *     10.244.1.2 … .253           pods
 *     10.244.1.254  router        carried by no kernel interface
 */
import { cidrLast, MAC_PREFIX_VTEP, macOfIpv4, parseCidr, type Cidr, type Mac } from '../wire/address.js';

export interface NodeAddresses {
  readonly cidr: Cidr;
  readonly gateway: number;
  /** Of the host's end of pw0. */
  readonly gatewayMac: Mac;
  readonly router: number;
  readonly routerMac: Mac;
  readonly vtepMac: Mac;
}

/** @returns undefined when `podCidr` is no IPv4 prefix with room for a gateway, a router and a pod */
export function nodeAddresses(podCidr: string): NodeAddresses | undefined {
  const cidr = parseCidr(podCidr);
  if (!cidr || cidr.bits > 29) return undefined;
  const gateway = cidr.base + 1;
  const router = cidrLast(cidr) - 1;
  return {
    cidr,
    gateway,
    gatewayMac: macOfIpv4(gateway),
    router,
    routerMac: macOfIpv4(router),
    vtepMac: { hi: MAC_PREFIX_VTEP, lo: cidr.base },
  };
}
