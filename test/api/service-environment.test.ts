import t from 'tap';
import { serviceEnvironment } from '../../src/api/service-environment.js';
import type { Pod, Service, ServiceSpec } from '../../src/api/types.js';

const pod = (namespace: string, enableServiceLinks?: boolean): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace },
  spec: { containers: [], enableServiceLinks },
});
const service = (namespace: string, name: string, spec: ServiceSpec): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec,
});

const api = service('default', 'kubernetes', {
  clusterIP: '10.96.0.1',
  ports: [{ name: 'https', port: 443 }],
});

t.test('a Service is told by its address, its ports and docker’s links', async (t) => {
  const dns = service('shop', 'kube-dns', {
    clusterIP: '10.96.0.10',
    ports: [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53 },
    ],
  });
  t.strictSame(serviceEnvironment(pod('shop'), [dns]), {
    KUBE_DNS_SERVICE_HOST: '10.96.0.10',
    KUBE_DNS_SERVICE_PORT: '53',
    KUBE_DNS_SERVICE_PORT_DNS: '53',
    KUBE_DNS_SERVICE_PORT_DNS_TCP: '53',
    KUBE_DNS_PORT: 'udp://10.96.0.10:53',
    KUBE_DNS_PORT_53_UDP: 'udp://10.96.0.10:53',
    KUBE_DNS_PORT_53_UDP_PROTO: 'udp',
    KUBE_DNS_PORT_53_UDP_PORT: '53',
    KUBE_DNS_PORT_53_UDP_ADDR: '10.96.0.10',
    KUBE_DNS_PORT_53_TCP: 'tcp://10.96.0.10:53',
    KUBE_DNS_PORT_53_TCP_PROTO: 'tcp',
    KUBE_DNS_PORT_53_TCP_PORT: '53',
    KUBE_DNS_PORT_53_TCP_ADDR: '10.96.0.10',
  });
});

t.test('a pod hears of its own namespace and of the API', async (t) => {
  const services = [
    service('shop', 'db', { clusterIP: '10.96.0.20', ports: [{ port: 5432 }] }),
    service('other', 'web', { clusterIP: '10.96.0.30', ports: [{ port: 80 }] }),
    service('shop', 'headless', { clusterIP: 'None', ports: [{ port: 80 }] }),
    service('shop', 'away', { type: 'ExternalName', externalName: 'example.com' }),
    api,
  ];
  const hosts = (...args: Parameters<typeof pod>) =>
    Object.keys(serviceEnvironment(pod(...args), services)).filter((name) => name.endsWith('_HOST'));
  t.strictSame(hosts('shop'), ['DB_SERVICE_HOST', 'KUBERNETES_SERVICE_HOST']);
  t.strictSame(hosts('default'), ['KUBERNETES_SERVICE_HOST']);
  t.strictSame(hosts('shop', false), ['KUBERNETES_SERVICE_HOST'], 'enableServiceLinks: false');
});

t.test('a namespace’s own Service called kubernetes hides that of the API', async (t) => {
  const own = service('shop', 'kubernetes', { clusterIP: '10.96.0.99', ports: [{ port: 1 }] });
  for (const services of [
    [own, api],
    [api, own],
  ])
    t.match(serviceEnvironment(pod('shop'), services), { KUBERNETES_SERVICE_HOST: '10.96.0.99' });
  t.match(serviceEnvironment(pod('shop', false), [own, api]), { KUBERNETES_SERVICE_HOST: '10.96.0.1' });
});

t.test('an IPv6 address stands in brackets in an URL', async (t) => {
  const six = service('shop', 'six', { clusterIP: 'fd00::1', ports: [{ port: 80 }] });
  t.match(serviceEnvironment(pod('shop'), [six]), {
    SIX_SERVICE_HOST: 'fd00::1',
    SIX_PORT: 'tcp://[fd00::1]:80',
  });
});
